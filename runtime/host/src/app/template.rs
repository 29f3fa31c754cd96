//! Spin's variable templates: text with `{{ name }}` in it.

/// Replaces each `{{ name }}` by what `lookup` gives for it.
///
/// # Errors
/// An unclosed `{{`, or a name that `lookup` does not know: the message of either.
pub fn render<'a>(template: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> Result<String, String> {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        let inside = &rest[start + 2..];
        let end = inside.find("}}").ok_or_else(|| "a '{{' has no '}}'".to_owned())?;
        let name = inside[..end].trim();
        text.push_str(&rest[..start]);
        text.push_str(lookup(name).ok_or_else(|| format!("the application has no variable '{name}': declare it under [variables]"))?);
        rest = &inside[end + 2..];
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced() {
        let lookup = |name: &str| (name == "who").then_some("{{ who }}");
        assert_eq!(render("plain", lookup).unwrap(), "plain");
        assert_eq!(render("a {{ who }} b{{who}}", lookup).unwrap(), "a {{ who }} b{{ who }}");
        assert!(render("{{ nobody }}", lookup).unwrap_err().contains("'nobody'"));
        assert!(render("{{ who", lookup).unwrap_err().contains("}}"));
    }
}
