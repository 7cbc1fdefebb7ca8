//! `robots.txt`: what a site keeps robots out of (RFC 9309).

use percent_encoding::percent_decode;

/// So much of a file is read (section 2.5).
const BYTES_MAX: usize = 500 << 10;
/// What this robot is called.
const OWN_NAME: &str = "fournines";

/// What a site keeps robots out of.
#[derive(Debug)]
pub(super) enum Robots {
    /// The rules for us, or for everybody if none is for us: may paths that begin so be read?
    Rules(Vec<(bool, Vec<u8>)>),
    /// Nobody can be asked, so that nothing may be read.
    Closed,
}

impl Robots {
    /// Of a site that has no rules.
    pub(super) fn open() -> Robots {
        Robots::Rules(Vec::new())
    }

    /// What an answer to the question for the file means; `None` if there was none (sections 2.3.1.2 to 2.3.1.4).
    pub(super) fn of_answer(answer: Option<(u16, &[u8])>) -> Robots {
        match answer {
            Some((200..=299, body)) => Robots::read(body),
            // Not there, or not for us: there are no rules. So is a circle of redirects.
            Some((300..=499, _)) => Robots::open(),
            _ => Robots::Closed,
        }
    }

    fn read(body: &[u8]) -> Robots {
        let body = &body[..body.len().min(BYTES_MAX)];
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let (mut own, mut all): (Option<Vec<_>>, Vec<_>) = (None, Vec::new());
        let (mut is_own, mut is_all, mut in_agents) = (false, false, false);
        for line in body.split(|byte| matches!(byte, b'\r' | b'\n')) {
            let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (key, value) = (line[..colon].trim_ascii().to_ascii_lowercase(), line[colon + 1..].trim_ascii());
            match key.as_slice() {
                b"user-agent" => {
                    if !std::mem::replace(&mut in_agents, true) {
                        (is_own, is_all) = (false, false);
                    }
                    if is_own_name(value) {
                        is_own = true;
                        own.get_or_insert_default();
                    }
                    is_all |= value.starts_with(b"*");
                }
                b"allow" | b"disallow" => {
                    in_agents = false;
                    let rule = (key == b"allow", normal(value));
                    own.iter_mut().filter(|_| is_own && !value.is_empty()).for_each(|own| own.push(rule.clone()));
                    if is_all && !value.is_empty() {
                        all.push(rule);
                    }
                }
                _ => {}
            }
        }
        // A group for us counts also where it keeps us out of nothing.
        Robots::Rules(own.unwrap_or(all))
    }

    /// May this be asked for: a path, and what stands behind its `?`? The longest rule counts, of two as long the one
    /// that allows.
    pub(super) fn allow(&self, path: &str) -> bool {
        let Robots::Rules(rules) = self else { return false };
        let path = normal(path.as_bytes());
        let rules = rules.iter().filter(|(_, rule)| matches(rule, &path));
        rules.max_by_key(|(allow, rule)| (rule.len(), *allow)).is_none_or(|(allow, _)| *allow)
    }
}

/// Is a group for us? The name of a product is letters, `_` and `-`; a version may stand behind it.
fn is_own_name(value: &[u8]) -> bool {
    let end = value.iter().position(|byte| !byte.is_ascii_alphabetic() && !b"_-".contains(byte));
    value[..end.unwrap_or(value.len())].eq_ignore_ascii_case(OWN_NAME.as_bytes())
}

/// Octets as they are compared (section 2.2.2): what need not be escaped is not, and all else that is none of US-ASCII
/// is, in capitals.
fn normal(text: &[u8]) -> Vec<u8> {
    let mut normal = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| rest.get(..3)).flatten();
        let byte = escaped.and_then(|escaped| {
            let mut decoded = percent_decode(escaped);
            decoded.next().filter(|_| decoded.next().is_none())
        });
        match byte {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => normal.push(byte),
            Some(byte) => normal.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            None if first.is_ascii() => normal.push(*first),
            None => normal.extend_from_slice(format!("%{first:02X}").as_bytes()),
        }
        rest = if byte.is_some() { &rest[3..] } else { behind };
    }
    normal
}

/// Does a path begin with a rule, in which `*` is anything and `$` at its end the end?
fn matches(rule: &[u8], path: &[u8]) -> bool {
    let (rule, to_end) = rule.strip_suffix(b"$").map_or((rule, false), |rule| (rule, true));
    let mut parts = rule.split(|byte| *byte == b'*');
    let Some(mut rest) = path.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&[u8]> = parts.collect();
    for (at, part) in parts.iter().enumerate() {
        let mut places = rest.windows(part.len().max(1)).enumerate().filter(|(_, window)| window.starts_with(part));
        let found = match part.len() {
            0 => Some(if to_end && at + 1 == parts.len() { rest.len() } else { 0 }),
            _ if to_end && at + 1 == parts.len() => places.next_back().map(|(place, _)| place),
            _ => places.next().map(|(place, _)| place),
        };
        let Some(found) = found else { return false };
        rest = &rest[found + part.len()..];
    }
    !to_end || rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn robots_are_kept_out_as_they_are_told() {
        let text = "User-agent: other\nDisallow: /\n\nUser-agent: *\nDisallow: /private # all of it\nAllow: /private/open\nDisallow: /*.pdf$\nDisallow:\nDisallow: /find?q=\nDisallow: /*/end*\n";
        let robots = Robots::read(text.as_bytes());
        for (path, allowed) in [
            ("/", true),
            ("/private/x", false),
            ("/private/open/x", true),
            ("/a/b.pdf", false),
            ("/a/b.pdf.html", true),
            ("/find", true),
            ("/find?q=a", false),
            ("/a/ending", false),
        ] {
            assert_eq!(robots.allow(path), allowed, "{path}");
        }
    }

    /// A group for this robot that keeps it out of nothing was not seen, and that for all counted; escapes were compared
    /// as they are written.
    #[test]
    fn groups_and_escapes_are_as_rfc_9309_has_them() {
        for (text, path, allowed) in [
            ("User-agent: *\nDisallow: /\nUser-agent: Fournines/1.0\nDisallow:\n", "/x", true),
            ("User-agent: *\nDisallow: /\nUser-agent: Fournines\nDisallow: /no\n", "/no", false),
            ("User-agent: fourninesbot\nDisallow: /\n", "/x", true),
            // Groups of one name are one; what stands between agents and rules changes nothing.
            (
                "User-agent: fournines\nDisallow: /a\nUser-agent: x\nDisallow: /\nUser-agent: fournines\nDisallow: /b\n",
                "/b",
                false,
            ),
            ("User-agent: fournines\nCrawl-delay: 1\nUser-agent: x\nDisallow: /a\n", "/a", false),
            ("\u{feff}user-agent:*\rdisallow:/a\r", "/a", false),
            ("User-agent: *\nDisallow: /%7ejoe/a%2fb\n", "/~joe/a%2Fb", false),
            ("User-agent: *\nDisallow: /政\n", "/%e6%94%bf/x", false),
            ("User-agent: *\nDisallow: /a%2A\n", "/ab", true),
            ("User-agent: *\nAllow: /p\nDisallow: /\n", "/page", true),
            ("User-agent: *\nAllow: /page\nDisallow: /page\n", "/page", true),
            ("Disallow: /\n", "/x", true),
        ] {
            assert_eq!(Robots::read(text.as_bytes()).allow(path), allowed, "{text:?} {path}");
        }
        assert!(Robots::of_answer(Some((404, b""))).allow("/") && Robots::of_answer(Some((403, b""))).allow("/"));
        assert!(!Robots::of_answer(Some((503, b""))).allow("/") && !Robots::of_answer(None).allow("/"));
    }
}
