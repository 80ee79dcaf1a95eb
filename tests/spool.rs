//! Notes on disk, through power cuts.
