//! Sizes as they are written: a decimal number and a unit of bytes, as `"64MiB"`; a bare number counts bytes.
//!
//! Bare numbers are allowed because that is how Kubernetes hands a memory limit to a container (the downward API).

/// Units and their bytes, largest first; the binary ones are what [`render`] uses.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// Reads `"64MiB"` as a number of bytes; `None` where it is not a size.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit = if unit.is_empty() { "B" } else { unit };
    let (_, scale) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    u64::try_from(super::decimal::times(number, u128::from(scale))?).ok()
}

/// Writes a number of bytes in the largest binary unit that needs no fraction; [`parse`] reads the same number back.
#[must_use]
pub fn render(bytes: u64) -> String {
    let binary = UNITS.into_iter().filter(|(name, _)| name.ends_with("iB"));
    match binary.into_iter().find(|(_, scale)| bytes != 0 && bytes.is_multiple_of(*scale)) {
        Some((name, scale)) => format!("{}{name}", bytes / scale),
        None => format!("{bytes}B"),
    }
}
