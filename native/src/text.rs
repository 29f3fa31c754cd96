//! Numbers and names as people read them.

/// Bytes in the unit that leaves at most four digits: `98.4 MB`.
pub(crate) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    let mut units = ["bytes", "kB", "MB", "GB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    if unit == "bytes" || value >= 100.0 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// What a model may be called that came as `file`: lower-case letters, digits, `-`, `.` and `_`.
pub(crate) fn model_name(file: &str) -> String {
    let stem = file.strip_suffix(".gguf").unwrap_or(file).to_ascii_lowercase();
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '-' };
    let name: String = stem.chars().map(safe).skip_while(|c| !c.is_ascii_alphanumeric()).take(64).collect();
    if name.is_empty() { "model".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_are_short() {
        for (count, text) in
            [(0, "0 bytes"), (999, "999 bytes"), (98_362_432, "98.4 MB"), (253_113_024, "253 MB"), (7_000_000_000, "7.0 GB")]
        {
            assert_eq!(super::bytes(count), text);
        }
        assert_eq!(super::bytes(123_000_000_000_000), "123000 GB");
    }

    #[test]
    fn names_are_made_from_files() {
        for (file, name) in [
            ("SmolLM2-135M.Q4_1.gguf", "smollm2-135m.q4_1"),
            ("my model!.gguf", "my-model-"),
            ("_x", "x"),
            ("日本.gguf", "model"),
            ("", "model"),
        ] {
            assert_eq!(super::model_name(file), name);
        }
    }
}
