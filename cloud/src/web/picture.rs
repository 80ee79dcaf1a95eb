//! A frame as a false-colour PNG (pure).
//!
//! The temperatures between the pixels are drawn in between, never hotter or colder than what was measured, and coloured
//! afterwards: a mixed colour would show a temperature that is not there. The colours are the agent's: inferno, which is
//! evenly spaced for the eye and legible without colour vision.

/// Dots along each side of a pixel.
pub const USUAL_SCALE: u32 = 12;
pub const LARGEST_SCALE: u32 = 40;

/// Of the 256 colours that a small PNG may have, these are for temperatures; the last two are for the mark.
const COLOURS: u8 = 254;
const BLACK: u8 = 254;
const WHITE: u8 = 255;

/// Levels row by row, `size` as width and height, and the pixel to mark.
pub fn png(
    levels: &[u8],
    (width, height): (usize, usize),
    scale: u32,
    mark: Option<(usize, usize)>,
) -> Result<Vec<u8>, png::EncodingError> {
    let scale = scale.clamp(1, LARGEST_SCALE) as usize;
    let mut dots = stretched(levels, (width, height), scale);
    if let Some(pixel) = mark {
        outline(&mut dots, (width, height), scale, pixel);
    }
    if scale == 1 {
        // So small that fewer colours do, and half of such a picture would else be its list of colours.
        for dot in &mut *dots {
            *dot = coarse(*dot);
        }
    }
    let palette = used_colours(&mut dots);
    let side = |pixels: usize| u32::try_from(pixels * scale).unwrap_or(u32::MAX);
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side(width), side(height));
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&dots)?;
    writer.finish()?;
    Ok(bytes)
}

/// The nearest of 64 colours that are evenly spaced from the first to the last.
fn coarse(dot: u8) -> u8 {
    if dot >= COLOURS {
        return dot;
    }
    let last = u16::from(COLOURS - 1);
    let step = (u16::from(dot) * 63 + last / 2) / last;
    u8::try_from((step * last + 31) / 63).unwrap_or(COLOURS - 1)
}

/// Only the colours that a picture has travel with it: its dots become numbers of those.
fn used_colours(dots: &mut [u8]) -> Vec<u8> {
    let mut used = [false; 256];
    for dot in &*dots {
        used[usize::from(*dot)] = true;
    }
    let mut numbers = [0_u8; 256];
    let mut colours = Vec::new();
    for (index, colour) in palette()
        .chunks(3)
        .enumerate()
        .filter(|(index, _)| used[*index])
    {
        numbers[index] = u8::try_from(colours.len() / 3).unwrap_or_default();
        colours.extend_from_slice(colour);
    }
    for dot in &mut *dots {
        *dot = numbers[usize::from(*dot)];
    }
    colours
}

fn palette() -> Vec<u8> {
    let colours = (0..usize::from(COLOURS)).flat_map(|index| {
        colorous::INFERNO
            .eval_rational(index, usize::from(COLOURS))
            .as_array()
    });
    colours.chain([0, 0, 0, 255, 255, 255]).collect()
}

/// Each dot by the four pixels around it, as a number of the palette.
fn stretched(levels: &[u8], (width, height): (usize, usize), scale: usize) -> Vec<u8> {
    let across: Vec<_> = (0..width * scale)
        .map(|dot| between(dot, width, scale))
        .collect();
    let level =
        |x: usize, y: usize| f32::from(levels.get(y * width + x).copied().unwrap_or_default());
    let mut dots = Vec::with_capacity(width * height * scale * scale);
    for (top, bottom, down) in (0..height * scale).map(|dot| between(dot, height, scale)) {
        for &(left, right, along) in &across {
            let mix = |a: f32, b: f32, share: f32| a + (b - a) * share;
            let value = mix(
                mix(level(left, top), level(right, top), along),
                mix(level(left, bottom), level(right, bottom), along),
                down,
            );
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "from 0 to 255, so from 0 to the last colour"
            )]
            dots.push((value / 255.0 * f32::from(COLOURS - 1)).round() as u8);
        }
    }
    dots
}

/// The pixels whose centres a dot lies between, and how far it is from the first to the second.
fn between(dot: usize, pixels: usize, scale: usize) -> (usize, usize, f32) {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a picture has hundreds of dots on a side"
    )]
    let position = ((dot as f32 + 0.5) / scale as f32 - 0.5).max(0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and below the number of pixels"
    )]
    let first = (position.floor() as usize).min(pixels - 1);
    (first, (first + 1).min(pixels - 1), position.fract())
}

/// A white frame with a black rim around a pixel, so that it stands out on any colour.
fn outline(dots: &mut [u8], (width, height): (usize, usize), scale: usize, (x, y): (usize, usize)) {
    let (right, bottom) = (width * scale, height * scale);
    for (rim, colour) in [(2, BLACK), (1, WHITE)] {
        let low = |pixel: usize| (pixel * scale).saturating_sub(rim);
        let high = |pixel: usize, end: usize| (pixel * scale + scale - 1 + rim).min(end - 1);
        let (x0, x1) = (low(x), high(x, right));
        let (y0, y1) = (low(y), high(y, bottom));
        for column in x0..=x1 {
            dots[y0 * right + column] = colour;
            dots[y1 * right + column] = colour;
        }
        for row in y0..=y1 {
            dots[row * right + x0] = colour;
            dots[row * right + x1] = colour;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (usize, usize) = (32, 24);

    fn decoded(png: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().expect("a PNG");
        let mut rgb = vec![0; reader.output_buffer_size().expect("a size")];
        reader.next_frame(&mut rgb).expect("a picture");
        (reader.info().width, reader.info().height, rgb)
    }

    #[test]
    fn one_dot_a_pixel_shows_each_pixel() {
        let mut levels = [0; 768];
        levels[5 * 32 + 7] = 255;
        let (width, height, rgb) = decoded(&png(&levels, SIZE, 1, None).expect("drawn"));
        assert_eq!((width, height), (32, 24));
        let dots = rgb.as_chunks::<3>().0;
        let hottest = colorous::INFERNO.eval_rational(253, 254).as_array();
        let coldest = colorous::INFERNO.eval_rational(0, 254).as_array();
        for (place, dot) in dots.iter().enumerate() {
            let expected = if place == 5 * 32 + 7 {
                hottest
            } else {
                coldest
            };
            assert_eq!(*dot, expected, "{place}");
        }
    }

    #[test]
    fn a_small_picture_has_few_colours_and_is_light() {
        let noisy: Vec<u8> = (0..768_u32)
            .map(|place| u8::try_from(place * 7 % 256).expect("below 256"))
            .collect();
        let (_, _, rgb) = decoded(&png(&noisy, SIZE, 1, None).expect("drawn"));
        let colours: std::collections::BTreeSet<_> = rgb.as_chunks::<3>().0.iter().collect();
        assert_eq!(colours.len(), 64);
        assert_eq!((coarse(0), coarse(253), coarse(WHITE)), (0, 253, WHITE));
        assert!((0..COLOURS).all(|dot| coarse(dot).abs_diff(dot) <= 2));
        let flat = png(&[7; 768], SIZE, 12, None).expect("drawn");
        assert!(flat.len() < 800, "{}", flat.len());
    }

    #[test]
    fn in_between_is_between_and_the_mark_stays_inside() {
        let mut levels = [100; 768];
        levels[0] = 200;
        levels[767] = 0;
        let dots = stretched(&levels, SIZE, 12);
        assert_eq!(dots.len(), 768 * 144);
        assert_eq!((dots[0], dots[768 * 144 - 1]), (198, 0));
        assert!(dots.iter().all(|dot| (0..=198).contains(dot)));
        assert!(
            dots[..12 * 2].is_sorted_by(|a, b| a >= b),
            "it cools from the hot corner"
        );
        for corner in [(0, 0), (31, 0), (0, 23), (31, 23)] {
            for scale in [1, 2, 12, 40] {
                let (_, _, rgb) = decoded(&png(&levels, SIZE, scale, Some(corner)).expect("drawn"));
                assert!(
                    rgb.as_chunks::<3>().0.contains(&[255; 3]),
                    "{corner:?} at {scale}"
                );
            }
        }
    }
}
