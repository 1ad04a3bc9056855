//! Figures as they are printed: medians of several runs, and the ratio of what ran beside each other.

use crate::Scale;

/// First lines of the output: what would be needed to repeat it.
pub(crate) fn heading(scale: &Scale, broker: &str) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let Scale { events, seed, runs, seconds, .. } = scale;
    format!(
        "daybook {}, {cores} cores, {broker}; {events} events, seed {seed}, medians of {runs} runs, {seconds} s each\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// The middle one; of an even number the lower.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Prints one comparison: ours, what ran beside it, and the ratio of each pair's median.
pub(crate) fn compare(what: &str, unit: &str, ours: (&str, Vec<f64>), beside: (&str, Vec<f64>)) {
    let ratio = median(ours.1.iter().zip(&beside.1).map(|(ours, beside)| ours / beside).collect());
    println!("{what}");
    println!("  {:<46} {:>12.0} {unit}", ours.0, median(ours.1));
    println!("  {:<46} {:>12.0} {unit}", beside.0, median(beside.1));
    println!("  ratio, median of the pairs {:>33.3}\n", ratio);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.0);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(number), text);
        }
    }
}
