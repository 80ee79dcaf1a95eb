//! A screenshot with at most 256 colours, which is half of its size.

use std::collections::HashMap;

/// The same picture with a palette. Pictures of pages are flat, so the most frequent colours are nearly all of them, and
/// the nearest of these stands for any other.
pub fn reduced(png: &[u8]) -> Vec<u8> {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut pixels).expect("a picture");
    let channels = info.color_type.samples();
    assert!(channels >= 3, "screenshots are in colour");
    let colours: Vec<[u8; 3]> = pixels[..info.buffer_size()]
        .chunks_exact(channels)
        .map(|pixel| [pixel[0], pixel[1], pixel[2]])
        .collect();
    let palette = palette(&colours);
    let mut known: HashMap<[u8; 3], u8> = HashMap::new();
    let indexed: Vec<u8> = colours
        .iter()
        .map(|colour| {
            *known
                .entry(*colour)
                .or_insert_with(|| nearest(&palette, *colour))
        })
        .collect();
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, info.width, info.height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    encoder.set_palette(palette.concat());
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&indexed).expect("a picture");
    writer.finish().expect("an end");
    out
}

/// First the mean of each of the most frequent cells of a coarse grid over all colours, then as many again as there is
/// room for. Frequent colours are exact, because their cell holds little else.
fn palette(colours: &[[u8; 3]]) -> Vec<[u8; 3]> {
    let mut exact: HashMap<[u8; 3], u32> = HashMap::new();
    for colour in colours {
        *exact.entry(*colour).or_default() += 1;
    }
    let mut exact: Vec<_> = exact.into_iter().collect();
    exact.sort_by_key(|(colour, count)| (std::cmp::Reverse(*count), *colour));
    if exact.len() <= 256 {
        return exact.into_iter().map(|(colour, _)| colour).collect();
    }
    let mut palette: Vec<[u8; 3]> = exact.iter().take(64).map(|(colour, _)| *colour).collect();
    let mut cells: HashMap<[u8; 3], (u64, [u64; 3])> = HashMap::new();
    for (colour, count) in &exact[64..] {
        let count = u64::from(*count);
        let cell = cells.entry(colour.map(|part| part >> 4)).or_default();
        cell.0 += count;
        for (sum, part) in cell.1.iter_mut().zip(colour) {
            *sum += u64::from(*part) * count;
        }
    }
    let mut cells: Vec<_> = cells.into_iter().collect();
    cells.sort_by_key(|(cell, (count, _))| (std::cmp::Reverse(*count), *cell));
    let means = cells.into_iter().map(|(_, (count, sums))| {
        sums.map(|sum| u8::try_from(sum / count).expect("a mean of bytes"))
    });
    palette.extend(means.take(192));
    palette
}

fn nearest(palette: &[[u8; 3]], colour: [u8; 3]) -> u8 {
    let distance = |other: &[u8; 3]| -> u32 {
        let parts = colour.iter().zip(other);
        parts.map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum()
    };
    let found = palette
        .iter()
        .enumerate()
        .min_by_key(|(_, other)| distance(other));
    u8::try_from(found.map_or(0, |(index, _)| index)).expect("at most 256 colours")
}
