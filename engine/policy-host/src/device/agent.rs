//! The parts of a user agent: the words around the model, and the model.

use std::ops::Range;

use super::MAX_USER_AGENT_BYTES;

/// A user agent in lower case, with the place of its model.
pub(super) struct Agent {
    text: [u8; MAX_USER_AGENT_BYTES],
    length: usize,
    model: Range<usize>,
}

/// The names that stand before the version of Android. Opera's browser for televisions writes the
/// second, browsers of UCWEB the third.
const SYSTEMS: [&[u8]; 4] = [b"android", b"andr0id", b"adr ", b"openharmony"];

impl Agent {
    /// Reads at most [`MAX_USER_AGENT_BYTES`] of a user agent.
    pub(super) fn of(user_agent: &[u8]) -> Agent {
        let mut text = [0_u8; MAX_USER_AGENT_BYTES];
        let bytes = user_agent.trim_ascii();
        let length = bytes.len().min(MAX_USER_AGENT_BYTES);
        for (to, from) in text.iter_mut().zip(&bytes[..length]) {
            *to = from.to_ascii_lowercase();
        }
        let model = model(&text[..length]);
        Agent {
            text,
            length,
            model,
        }
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text[..self.length]
    }

    /// The model of a device with Android; empty if the agent names none.
    pub(super) fn model(&self) -> &[u8] {
        &self.text[self.model.clone()]
    }

    /// Whether a word that begins here is part of the model. Makers choose any words for models:
    /// a phone is called `M bot 60`.
    pub(super) fn is_model(&self, at: usize) -> bool {
        self.model.contains(&at)
    }
}

/// The place of the model: after the version of Android and a locale, before the build.
fn model(text: &[u8]) -> Range<usize> {
    let Some(amazon) = text.strip_prefix(b"amazon;") else {
        return android_model(text).unwrap_or(0..0);
    };
    // Alexa's apps say `Amazon;MODEL;…`.
    let end = amazon.iter().position(|byte| *byte == b';');
    7..7 + end.unwrap_or(amazon.len())
}

fn android_model(text: &[u8]) -> Option<Range<usize>> {
    let system =
        (0..text.len()).find(|at| SYSTEMS.iter().any(|name| text[*at..].starts_with(name)))?;
    let mut from = system;
    loop {
        from += text[from..]
            .iter()
            .take_while(|byte| !matches!(byte, b';' | b')'))
            .count();
        if text.get(from) != Some(&b';') {
            return None;
        }
        from += 1;
        from += text[from..]
            .iter()
            .take_while(|byte| **byte == b' ')
            .count();
        let part = text[from..]
            .split(|byte| matches!(byte, b';' | b')'))
            .next()
            .unwrap_or_default();
        if !is_before_model(part) {
            // Some browsers forget the parenthesis before their engine.
            let build = (0..part.len())
                .find(|at| {
                    let rest = &part[*at..];
                    rest.starts_with(b" build/") || rest.starts_with(b" applewebkit/")
                })
                .unwrap_or(part.len());
            return Some(from..from + build);
        }
    }
}

/// Whether this part is a locale or a word of the browser's, and the model comes later.
fn is_before_model(part: &[u8]) -> bool {
    let part = part.trim_ascii();
    let is_locale = match part {
        [a, b] => a.is_ascii_alphabetic() && b.is_ascii_alphabetic(),
        [a, b, b'-' | b'_', c, d] => [a, b, c, d].iter().all(|byte| byte.is_ascii_alphabetic()),
        _ => false,
    };
    is_locale
        || matches!(
            part,
            b"" | b"u"
                | b"arm"
                | b"arm_64"
                | b"x86_64"
                | b"harmonyos"
                | b"tablet"
                | b"mobile"
                | b"wv"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_stands_between_the_version_and_the_build() {
        for (agent, model) in [
            (
                "Mozilla/5.0 (Linux; Android 7.0; M bot 60 Build/NRD90M) AppleWebKit/537.36",
                "m bot 60",
            ),
            (
                "Mozilla/5.0 (Linux; Android 13; SM-X810) AppleWebKit/537.36",
                "sm-x810",
            ),
            (
                "Mozilla/5.0 (Linux; U; Android 4.0.4; fr-be; DA220HQL Build/IMM76D)",
                "da220hql",
            ),
            (
                "Mozilla/5.0 (Linux; arm_64; Android 13; Hi10 XPro)",
                "hi10 xpro",
            ),
            (
                "Mozilla/5.0 (Linux; Andr0id 9; ATV R1) AppleWebKit/537.36",
                "atv r1",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; HarmonyOS; TET-AL00; HMSCore 6.1.0.314)",
                "tet-al00",
            ),
            (
                "UCWEB/2.0 (Linux; U; Adr 4.0.4; en-US; ELEMENT7V2) U2/1.0.0",
                "element7v2",
            ),
            (
                "Mozilla/5.0 (Android 14; Mobile; rv:134.0) Gecko/134.0 Firefox/134.0",
                "rv:134.0",
            ),
            ("Amazon;AFTMM;756a522d;;tpapi;3.202.356", "aftmm"),
            ("Mozilla/5.0 (Linux; Android 9)", ""),
            ("Mozilla/5.0 (Linux; Android 9;", ""),
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", ""),
            ("", ""),
        ] {
            assert_eq!(
                String::from_utf8_lossy(Agent::of(agent.as_bytes()).model()),
                model,
                "{agent}"
            );
        }
    }
}
