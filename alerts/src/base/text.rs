//! Texts of texts: ids, what is to be read first, texts in HTML.

use xxhash_rust::xxh64::Xxh64;

/// 16 hexadecimal digits that are the same for the same texts, after every start.
pub(crate) fn id<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Xxh64::new(0);
    for text in texts {
        // With its length, so that no two lists of texts are alike.
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    format!("{:016x}", hash.digest())
}

/// What of the texts of an alert is to be read first.
pub(crate) fn headline<'a>(text: impl Fn(&str) -> Option<&'a str>) -> Option<&'a str> {
    ["summary", "description", "message"].into_iter().find_map(text)
}

/// What an alert is about, by its labels.
pub(crate) fn target<'a>(label: impl Fn(&str) -> Option<&'a str>) -> &'a str {
    ["target", "instance"].into_iter().filter_map(label).find(|value| !value.is_empty()).unwrap_or_default()
}

/// As text in HTML, within quotes too; as Go escapes it.
pub(crate) fn escaped_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '\0' => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}
