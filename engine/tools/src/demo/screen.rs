//! The screens that pages and drawings are made for.

use http::HeaderMap;

/// The screen that a page or a drawing is made for. The edge names it in `Tero-Variant`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Screen {
    #[default]
    Desktop,
    Tablet,
    Mobile,
}

impl Screen {
    /// Reads `Tero-Variant`, where variants of several policies are joined with `+`.
    pub(super) fn of(fields: &HeaderMap) -> Screen {
        let variant = fields
            .get("tero-variant")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        variant
            .split('+')
            .fold(Screen::Desktop, |screen, part| match part {
                "mobile" => Screen::Mobile,
                "tablet" => Screen::Tablet,
                _ => screen,
            })
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Screen::Desktop => "desktop",
            Screen::Tablet => "tablet",
            Screen::Mobile => "mobile",
        }
    }
}
