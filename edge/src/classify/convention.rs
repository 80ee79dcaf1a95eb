//! What somebody else's model is shown, and how its answer is meant.
//!
//! A model with input `[1,1,24,32]` gets deg C as they are. A model that looks at pictures gets the frame as the tutorial
//! draws it: the tutorial's colours over 20 to 40 deg C, stretched to the size the model asks for, red, green and blue
//! between 0 and 1 (Edge Impulse's convention). Its file may say otherwise in its metadata, and a flag beats both.

use std::collections::BTreeMap;

use anyhow::Context;
use clap::ValueEnum;

use crate::frame::Pixels;
use crate::model::gate::Layout;
use crate::picture::{self, Colours, Range};

/// Mean and spread of red, green and blue in ImageNet, which most pretrained networks subtract and divide by.
const IMAGENET: [(f32, f32); 3] = [(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)];

/// How a frame becomes a picture, and numbers become probabilities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Convention {
    /// Temperatures between which the colours lie.
    pub range: Range,
    pub colours: Colours,
    pub scale: Scale,
    /// The scores still have to go through a softmax.
    pub softmax: bool,
}

/// What was said on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Overrides {
    pub range: Option<Range>,
    pub colours: Option<Colours>,
    pub scale: Option<Scale>,
    pub softmax: bool,
}

/// What a colour's 0 to 255 becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scale {
    /// 0 to 1, as Edge Impulse does.
    #[value(name = "0..1")]
    Unit,
    /// 0 to 255, as they are.
    #[value(name = "0..255")]
    Bytes,
    /// -1 to 1, as MobileNet in Keras does.
    #[value(name = "-1..1")]
    Signed,
    /// 0 to 1, less ImageNet's mean, by its spread, as networks from PyTorch do.
    Imagenet,
}

impl Default for Convention {
    fn default() -> Self {
        Self {
            range: Range::Fixed(20.0, 40.0),
            colours: Colours::Tutorial,
            scale: Scale::Unit,
            softmax: false,
        }
    }
}

impl Convention {
    /// What was said, else what the file says, else the default.
    pub fn of(entries: &BTreeMap<String, String>, said: &Overrides) -> anyhow::Result<Self> {
        let default = Self::default();
        let entry = |key: &str| entries.get(key).map(|text| text.trim());
        let wrong = |key: &str| format!("its metadata entry `{key}`");
        let by_ends = |text: &str| text.parse::<Range>().map_err(anyhow::Error::msg);
        let by_name =
            |text: &str| <Colours as ValueEnum>::from_str(text, true).map_err(anyhow::Error::msg);
        let by_scale =
            |text: &str| <Scale as ValueEnum>::from_str(text, true).map_err(anyhow::Error::msg);

        let key = "thermal_watch.range";
        let range = entry(key)
            .map(by_ends)
            .transpose()
            .with_context(|| wrong(key))?;
        let key = "thermal_watch.colours";
        let colours = entry(key)
            .map(by_name)
            .transpose()
            .with_context(|| wrong(key))?;
        let key = "thermal_watch.scale";
        let scale = entry(key)
            .map(by_scale)
            .transpose()
            .with_context(|| wrong(key))?;
        Ok(Self {
            range: said.range.or(range).unwrap_or(default.range),
            colours: said.colours.or(colours).unwrap_or(default.colours),
            scale: said.scale.or(scale).unwrap_or(default.scale),
            softmax: said.softmax
                || entry("activation").is_some_and(|text| text.eq_ignore_ascii_case("softmax")),
        })
    }

    /// The tensor of a model that looks at pictures.
    pub fn input(&self, pixels: &Pixels, layout: Layout, height: usize, width: usize) -> Vec<f32> {
        let rgb = picture::plain(pixels, self.range, self.colours, width, height);
        // By colour and byte, so that no pixel is divided by anything.
        let tables: [Vec<f32>; 3] = std::array::from_fn(|channel| {
            (0..=u8::MAX)
                .map(|byte| self.scale.apply(byte, channel))
                .collect()
        });
        match layout {
            Layout::ChannelsLast => rgb
                .as_chunks::<3>()
                .0
                .iter()
                .flat_map(|colour| {
                    [0, 1, 2].map(|channel| tables[channel][usize::from(colour[channel])])
                })
                .collect(),
            Layout::ChannelsFirst => (0..3)
                .flat_map(|channel| {
                    let table = &tables[channel];
                    rgb.iter()
                        .skip(channel)
                        .step_by(3)
                        .map(|&byte| table[usize::from(byte)])
                })
                .collect(),
        }
    }
}

impl Scale {
    fn apply(self, byte: u8, channel: usize) -> f32 {
        let byte = f32::from(byte);
        match self {
            Self::Unit => byte / 255.0,
            Self::Bytes => byte,
            Self::Signed => byte / 127.5 - 1.0,
            Self::Imagenet => {
                let (mean, spread) = IMAGENET[channel];
                (byte / 255.0 - mean) / spread
            }
        }
    }
}

impl std::fmt::Display for Convention {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = |value: Option<clap::builder::PossibleValue>| {
            value
                .map(|value| value.get_name().to_owned())
                .unwrap_or_default()
        };
        write!(
            formatter,
            "colours {} over {} deg C, each {}{}",
            name(self.colours.to_possible_value()),
            self.range,
            name(self.scale.to_possible_value()),
            if self.softmax { ", then a softmax" } else { "" }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_beats_the_file_which_beats_the_default() {
        let entries = BTreeMap::from([
            ("thermal_watch.range".to_owned(), "-5 .. 90.5".to_owned()),
            ("thermal_watch.scale".to_owned(), "imagenet".to_owned()),
            ("activation".to_owned(), "Softmax".to_owned()),
        ]);
        let found = Convention::of(&entries, &Overrides::default()).expect("fine");
        let range = Range::Fixed(-5.0, 90.5);
        assert_eq!(
            (found.range, found.scale, found.softmax),
            (range, Scale::Imagenet, true)
        );
        assert_eq!(found.colours, Colours::Tutorial);
        let said = Overrides {
            scale: Some(Scale::Bytes),
            ..Overrides::default()
        };
        assert_eq!(
            Convention::of(&entries, &said).expect("fine").scale,
            Scale::Bytes
        );
        for (key, text) in [
            ("thermal_watch.range", "40..20"),
            ("thermal_watch.range", "20"),
            ("thermal_watch.range", "nan..40"),
            ("thermal_watch.scale", "0..2"),
            ("thermal_watch.colours", "plaid"),
        ] {
            let entries = BTreeMap::from([(key.to_owned(), text.to_owned())]);
            let error = Convention::of(&entries, &Overrides::default()).expect_err("refused");
            assert!(format!("{error:#}").contains(key), "{error:#}");
        }
    }

    #[test]
    fn bytes_become_what_the_scale_says() {
        for (scale, black, white) in [
            (Scale::Unit, 0.0, 1.0),
            (Scale::Bytes, 0.0, 255.0),
            (Scale::Signed, -1.0, 1.0),
            (Scale::Imagenet, -0.485 / 0.229, (1.0 - 0.485) / 0.229),
        ] {
            assert!((scale.apply(0, 0) - black).abs() < 1e-5, "{scale:?}");
            assert!((scale.apply(255, 0) - white).abs() < 1e-5, "{scale:?}");
        }
    }
}
