//! Translates the patterns of a file into those of the policy: a path in which `*` stands for any
//! text.
//!
//! Files of this kind were read by programs that knew other patterns: regular expressions, braces,
//! parameters. A pattern that such a program reads otherwise than the policy is translated if the
//! translation matches exactly the same paths, and refused otherwise. Both are matched against the
//! whole path.

use tero_config::Mistake;

/// The largest number of patterns that one pattern of a file may become.
pub(super) const MAX_ALTERNATIVES: usize = 64;

/// The deepest nesting of groups in an expression.
const MAX_GROUP_DEPTH: usize = 8;

/// The policy's patterns for one pattern of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Translation {
    /// At least one pattern.
    pub(super) patterns: Vec<String>,
    /// What is odd about the pattern, though its meaning is clear enough.
    pub(super) odd: Option<String>,
}

/// How a pattern was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatternSyntax {
    /// A path in which `*` stands for any text, and `{a,b}` for one of two texts.
    Glob,
    /// A regular expression.
    Expression,
}

/// The syntax of a pattern, by the characters that only one of them has.
///
/// # Errors
/// A pattern that two programs would read in two ways.
pub(crate) fn syntax_of(text: &str) -> Result<PatternSyntax, Mistake> {
    // An expression can't begin with `*`.
    if text.starts_with('*') {
        return Ok(PatternSyntax::Glob);
    }
    let stars = text.match_indices(".*").map(|(at, _)| &text[..at]);
    let has_any = stars
        .clone()
        .any(|before| before.is_empty() || before.ends_with(['/', ')', ']']));
    let is_group = text.contains('(') && (text.contains('|') || text.contains("(?"));
    if text.starts_with('^')
        || text.ends_with('$')
        || text.contains(['\\', '[', ']', '|'])
        || text.contains(".+")
        || has_any
        || is_group
    {
        return Ok(PatternSyntax::Expression);
    }
    match stars.clone().next() {
        Some(before) => Err(Mistake::new(
            format!(
                "`{}` reads as a path and as a regular expression",
                text.escape_debug()
            ),
            format!(
                "write \"{before}*\" for every path that begins with {before}, or the endings one by one (\"{before}.png\")"
            ),
        )),
        None => Ok(PatternSyntax::Glob),
    }
}

/// Translates one pattern.
///
/// # Errors
/// A pattern that the policy can't say, with what to write instead.
pub(super) fn translate(text: &str) -> Result<Translation, Mistake> {
    let is_pattern = !text.is_empty() && text.len() <= 1_024 && !text.chars().any(char::is_control);
    if !is_pattern {
        return Err(not_a_pattern(text));
    }
    let (patterns, odd) = match syntax_of(text)? {
        PatternSyntax::Glob => glob(text)?,
        PatternSyntax::Expression => (expression(text)?, None),
    };
    let mut patterns: Vec<String> = patterns.iter().map(|text| encoded(text)).collect();
    for pattern in &patterns {
        if !pattern.starts_with(['/', '*']) || pattern.contains(['?', '#']) {
            return Err(not_a_pattern(text));
        }
    }
    patterns.dedup();
    Ok(Translation { patterns, odd })
}

fn not_a_pattern(text: &str) -> Mistake {
    Mistake::new(
        format!("`{}` is not a pattern", text.escape_debug()),
        "write \"/path\", \"/path/*\", \"*.css\" or \"*\", without a query",
    )
}

fn refusal(text: &str, problem: &str, cure: impl Into<String>) -> Mistake {
    Mistake::new(format!("`{}` {problem}", text.escape_debug()), cure)
}

/// The characters that a path has percent-encoded only, as browsers send them.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            ' ' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' => {
                out.push_str(&format!("%{:02X}", u32::from(character)));
            }
            other => out.push(other),
        }
    }
    out
}

/// Translates a path with stars and braces, and says what is odd about it.
fn glob(text: &str) -> Result<(Vec<String>, Option<String>), Mistake> {
    if let Some(at) = text
        .find("/:")
        .filter(|at| begins_with_letter(&text[at + 2..]))
    {
        return Err(refusal(
            text,
            "has a parameter, which stands for one segment",
            format!(
                "write \"{}*\" if deeper paths may match too, or the paths one by one",
                &text[..=at]
            ),
        ));
    }
    if let Some(sign) = text
        .chars()
        .find(|sign| matches!(sign, '[' | ']' | '\\' | '|'))
    {
        return Err(refusal(
            text,
            &format!("begins as a path and has `{sign}` as a regular expression"),
            "write the paths one by one, or \"*\" where any text may stand",
        ));
    }
    let alternatives = braces(text)?;
    let stars = alternatives
        .iter()
        .map(|text| collapsed(text))
        .collect::<Vec<_>>();
    let odd = if text.contains("**") {
        Some("`*` matches `/` as well, so `**` is no more than `*`".to_owned())
    } else if let Some(sign) = text
        .chars()
        .find(|sign| matches!(sign, '(' | ')' | '+' | '$' | '^'))
    {
        Some(format!("`{sign}` is taken literally"))
    } else if encoded(&alternatives[0]) != alternatives[0] {
        Some("it is compared as browsers send it, percent-encoded".to_owned())
    } else {
        None
    };
    Ok((stars, odd))
}

fn begins_with_letter(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
}

/// The text with one star for several.
fn collapsed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character != '*' || !out.ends_with('*') {
            out.push(character);
        }
    }
    out
}

/// The texts that `{a,b}` stands for.
fn braces(text: &str) -> Result<Vec<String>, Mistake> {
    let Some(open) = text.find('{') else {
        return if text.contains('}') {
            Err(refusal(
                text,
                "closes a brace that it does not open",
                "write the paths one by one",
            ))
        } else {
            Ok(vec![text.to_owned()])
        };
    };
    let rest = &text[open + 1..];
    let close = rest.find('}').filter(|close| !rest[..*close].contains('{'));
    let Some(close) = close else {
        return Err(refusal(
            text,
            "has a brace inside a brace, or one without an end",
            "write the paths one by one",
        ));
    };
    if !rest[..close].contains(',') {
        return Err(refusal(
            text,
            "has a parameter, which stands for one segment",
            format!(
                "write \"{}*\" if deeper paths may match too, or the paths one by one",
                &text[..open]
            ),
        ));
    }
    let tails = braces(&rest[close + 1..])?;
    let mut out = Vec::new();
    for choice in rest[..close].split(',') {
        for tail in &tails {
            out.push(format!("{}{choice}{tail}", &text[..open]));
        }
        bounded(text, out.len())?;
    }
    Ok(out)
}

fn bounded(text: &str, count: usize) -> Result<(), Mistake> {
    if count > MAX_ALTERNATIVES {
        return Err(refusal(
            text,
            &format!("stands for more than {MAX_ALTERNATIVES} paths"),
            "write \"*\" where any text may stand",
        ));
    }
    Ok(())
}

/// Translates a regular expression for the whole path.
fn expression(text: &str) -> Result<Vec<String>, Mistake> {
    let mut parser = ExpressionParser {
        text,
        rest: text,
        depth: 0,
    };
    let is_anchored = parser.take("^");
    let found = parser.alternatives(true)?;
    if !parser.rest.is_empty() {
        return Err(parser.refuse("has a `)` that nothing opens", "write the paths one by one"));
    }
    let is_open = !text.ends_with('$') && found.iter().any(|pattern| !pattern.ends_with('*'));
    if is_anchored && is_open {
        return Err(refusal(
            text,
            "does not say whether it ends there",
            "end it with `$` for exactly this path, or with `.*` for every path that begins so",
        ));
    }
    Ok(found.iter().map(|pattern| collapsed(pattern)).collect())
}

struct ExpressionParser<'t> {
    text: &'t str,
    rest: &'t str,
    /// How many groups are open.
    depth: usize,
}

impl ExpressionParser<'_> {
    fn refuse(&self, problem: &str, cure: &str) -> Mistake {
        refusal(self.text, problem, cure)
    }

    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Reads `a|b|c`, up to a `)` or the end.
    fn alternatives(&mut self, is_outermost: bool) -> Result<Vec<String>, Mistake> {
        let mut found = self.sequence(is_outermost)?;
        while self.take("|") {
            if is_outermost {
                self.take("^");
            }
            found.extend(self.sequence(is_outermost)?);
            bounded(self.text, found.len())?;
        }
        Ok(found)
    }

    fn sequence(&mut self, is_outermost: bool) -> Result<Vec<String>, Mistake> {
        let mut found = vec![String::new()];
        loop {
            let next = match self.rest.chars().next() {
                None | Some('|' | ')') => return Ok(found),
                Some('$')
                    if is_outermost && matches!(self.rest.as_bytes().get(1), None | Some(b'|')) =>
                {
                    self.take("$");
                    return Ok(found);
                }
                Some(next) => next,
            };
            let choices = self.atom(next)?;
            let choices = self.quantified(choices)?;
            bounded(self.text, found.len() * choices.len())?;
            found = found
                .iter()
                .flat_map(|head| choices.iter().map(move |tail| format!("{head}{tail}")))
                .collect();
        }
    }

    /// Reads what stands for one character or a group: the texts that it may be.
    fn atom(&mut self, first: char) -> Result<Vec<String>, Mistake> {
        self.rest = &self.rest[first.len_utf8()..];
        match first {
            '.' if self.take("*") => {
                self.take("?");
                Ok(vec!["*".to_owned()])
            }
            '.' => Err(self.refuse(
                "has a `.`, which matches any character",
                "write `\\.` for a dot, or `.*` for any text",
            )),
            '(' => {
                if self.rest.starts_with('?') && !self.take("?:") {
                    return Err(self.refuse(
                        "has a `(?`, which the policy can't say",
                        "write the paths one by one",
                    ));
                }
                self.depth += 1;
                if self.depth > MAX_GROUP_DEPTH {
                    return Err(
                        self.refuse("has groups nested too deeply", "write the paths one by one")
                    );
                }
                let found = self.alternatives(false)?;
                self.depth -= 1;
                if !self.take(")") {
                    return Err(self.refuse("has a `(` without its `)`", "close it"));
                }
                Ok(found)
            }
            '[' => self.class(),
            '\\' => self.escaped(),
            '^' | '$' => Err(self.refuse(
                &format!("has a `{first}` in the middle"),
                "write `^` at the beginning, and `$` at the end",
            )),
            '*' | '+' | '?' | '{' | '}' => Err(self.refuse(
                &format!("has a `{first}` that repeats nothing"),
                "write `.*` for any text, or `\\` before a sign that means itself",
            )),
            other => Ok(vec![other.to_string()]),
        }
    }

    fn escaped(&mut self) -> Result<Vec<String>, Mistake> {
        let Some(sign) = self.rest.chars().next() else {
            return Err(self.refuse("ends with a `\\`", "leave it out"));
        };
        self.rest = &self.rest[sign.len_utf8()..];
        match sign {
            'd' => Ok(('0'..='9').map(String::from).collect()),
            '*' | '?' | '#' => Err(self.refuse(
                &format!("has a `{sign}` that means itself, which the policy can't say"),
                "write \"*\" there if any text may stand",
            )),
            sign if sign.is_ascii_punctuation() => Ok(vec![sign.to_string()]),
            sign => Err(self.refuse(
                &format!("has `\\{sign}`, which the policy can't say"),
                "write the paths one by one, or \"*\" where any text may stand",
            )),
        }
    }

    /// Reads the rest of `[a-z]`: each character that it may be.
    fn class(&mut self) -> Result<Vec<String>, Mistake> {
        let cure = "write the paths one by one, or \"*\" where any text may stand";
        let Some((inside, rest)) = self.rest.split_once(']') else {
            return Err(self.refuse("has a `[` without its `]`", "close it"));
        };
        if inside.is_empty()
            || inside.starts_with('^')
            || inside.contains(['\\', '[', '*', '?', '#'])
        {
            return Err(self.refuse("has a class that the policy can't say", cure));
        }
        let mut found = Vec::new();
        let mut characters = inside.chars().peekable();
        while let Some(first) = characters.next() {
            let mut last = first;
            if characters.peek() == Some(&'-') {
                characters.next();
                match characters.next() {
                    Some(end) if end >= first => last = end,
                    Some(_) => {
                        return Err(self.refuse("has a range that ends before it begins", cure));
                    }
                    None => found.push("-".to_owned()),
                }
            }
            for character in first..=last {
                found.push(character.to_string());
                bounded(self.text, found.len())?;
            }
        }
        self.rest = rest;
        Ok(found)
    }

    /// Reads what may follow: `?` stands for "or nothing". The policy can't count.
    fn quantified(&mut self, mut choices: Vec<String>) -> Result<Vec<String>, Mistake> {
        if self.take("?") {
            choices.push(String::new());
        }
        let is_star = choices == ["*"];
        match self.rest.chars().next() {
            Some(sign @ ('*' | '+' | '?' | '{')) if !is_star => Err(self.refuse(
                &format!("has a `{sign}` that repeats something, which the policy can't say"),
                "write \"*\" there if any text may stand, or the paths one by one",
            )),
            Some('+' | '{' | '?' | '*') => Err(self.refuse("repeats a `.*`", "write `.*` once")),
            _ => Ok(choices),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, patterns: &[&str]) {
        let translation = translate(text).unwrap_or_else(|mistake| panic!("{text}: {mistake:?}"));
        assert_eq!(translation.patterns, patterns, "{text}");
    }

    fn check_refused(text: &str, problem: &str, cure: &str) {
        let mistake = translate(text).expect_err(text);
        assert!(
            mistake.problem.contains(problem) && mistake.cure.contains(cure),
            "{text}: {mistake:?}"
        );
    }

    #[test]
    fn patterns_of_the_policy_stay_as_they_are() {
        for text in [
            "/",
            "*",
            "/barberias/*",
            "*.css",
            "/a/*/b",
            "/b*c",
            "/ñandú/*",
            "/Case/*",
            "/file.txt",
            "/wiki/Talk:Foo",
        ] {
            check(text, &[text]);
            assert_eq!(translate(text).unwrap().odd, None, "{text}");
        }
    }

    #[test]
    fn expressions_become_patterns_where_that_is_exact() {
        check("/pagos/.*", &["/pagos/*"]);
        check("^/pagos/.*$", &["/pagos/*"]);
        check("/.*", &["/*"]);
        check(".*\\.css", &["*.css"]);
        check("/$", &["/"]);
        check("^/$", &["/"]);
        check("/img/(a|b)\\.png", &["/img/a.png", "/img/b.png"]);
        check("/img/.*\\.jpe?g$", &["/img/*.jpeg", "/img/*.jpg"]);
        check("/v[12]/x", &["/v1/x", "/v2/x"]);
        check("/v[a-c-]", &["/va", "/vb", "/vc", "/v-"]);
        check("^/a$|^/b/.*$", &["/a", "/b/*"]);
        check("/a/(?:x|y)/.*", &["/a/x/*", "/a/y/*"]);
        check(
            "/v\\d",
            &[
                "/v0", "/v1", "/v2", "/v3", "/v4", "/v5", "/v6", "/v7", "/v8", "/v9",
            ],
        );
        check("/a\\/b\\-c.*?$", &["/a/b-c*"]);
    }

    #[test]
    fn braces_become_patterns() {
        check("*.{css,js}", &["*.css", "*.js"]);
        check("/{a,b}/{c,d}", &["/a/c", "/a/d", "/b/c", "/b/d"]);
        check("/x{,/}", &["/x", "/x/"]);
        let many = "/{a,b,c,d}{a,b,c,d}{a,b,c,d}";
        assert_eq!(translate(many).unwrap().patterns.len(), MAX_ALTERNATIVES);
        check_refused(&format!("{many}{{a,b}}"), "more than 64 paths", "*");
        check_refused(&format!("/{}$", "(a|b)".repeat(200)), "more than 64", "*");
        check_refused(&format!("/{}", "(a|".repeat(300)), "nested", "one by one");
    }

    #[test]
    fn what_the_policy_can_not_say_is_refused_with_a_cure() {
        for (text, problem, cure) in [
            (
                "/producto/[0-9]+",
                "repeats something",
                "any text may stand",
            ),
            ("/x/\\d+", "repeats something", "one by one"),
            ("/x/\\w", "`\\w`", "one by one"),
            ("/p/{id}", "parameter", "\"/p/*\""),
            ("/q/:id", "parameter", "\"/q/*\""),
            ("/img/(a|b).png", "matches any character", "`\\.`"),
            (
                "/logo.*",
                "reads as a path and as a regular expression",
                "\"/logo*\"",
            ),
            ("/x/.+", "matches any character", "`.*`"),
            ("^/pagos", "whether it ends there", "`.*`"),
            ("/a{2}$", "repeats something", "one by one"),
            ("/a*$", "repeats something", "one by one"),
            ("/(a", "not a pattern", ""),
            ("/(a|b", "without its `)`", "close"),
            ("/a|b)", "nothing opens", ""),
            ("/[^a]", "class", "one by one"),
            ("/[z-a]", "ends before", ""),
            ("/[a", "without its `]`", "close"),
            ("/a\\", "ends with", "leave"),
            ("/(?=a)b", "can't say", "one by one"),
            ("/a\\?b", "means itself", "*"),
            ("/{a,{b,c}}", "inside a brace", "one by one"),
            ("/a}", "does not open", "one by one"),
            ("*.[cj]ss", "as a regular expression", "one by one"),
            ("/x?y", "not a pattern", "query"),
            ("img", "not a pattern", "/path"),
            ("", "not a pattern", "/path"),
            ("/a\u{7}", "not a pattern", "/path"),
        ] {
            if text == "/(a" {
                // A parenthesis alone is part of the path.
                check(text, &[text]);
                continue;
            }
            check_refused(text, problem, cure);
        }
    }

    #[test]
    fn odd_patterns_are_told() {
        for (text, pattern, odd) in [
            ("/tienda/**", "/tienda/*", "`**`"),
            ("/with space", "/with%20space", "percent-encoded"),
            ("/a+b", "/a+b", "`+` is taken literally"),
            ("/Foo_(bar)", "/Foo_(bar)", "`(` is taken literally"),
        ] {
            check(text, &[pattern]);
            let told = translate(text).unwrap().odd.unwrap_or_default();
            assert!(told.contains(odd), "{text}: {told}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_panics_and_all_are_patterns(text in "[/*.a-c{}()|\\\\^$+?:,\\[\\]ñ -]{0,24}") {
            if let Ok(translation) = translate(&text) {
                assert!(!translation.patterns.is_empty() && translation.patterns.len() <= MAX_ALTERNATIVES);
                for pattern in translation.patterns {
                    assert!(pattern.starts_with(['/', '*']) && !pattern.contains(['?', '#']), "{text}: {pattern}");
                }
            }
        }
    }
}
