//! A decimal number as written in front of a unit, multiplied by that unit without rounding.

/// `number` times `scale`; `None` where the number is not plain decimal, or the product is not whole or too large.
pub(super) fn times(number: &str, scale: u128) -> Option<u128> {
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (number, ""),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    // `u128::from_str` would also take a sign. Eighteen places are finer than any unit here divides.
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 18 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?;
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? };
    let denominator = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let scaled = part.checked_mul(scale)?;
    if !scaled.is_multiple_of(denominator) {
        return None;
    }
    u128::from(whole).checked_mul(scale)?.checked_add(scaled / denominator)
}
