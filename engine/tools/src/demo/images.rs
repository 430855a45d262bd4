//! Drawings of shop fronts. Larger screens get larger drawings with more detail.

use std::fmt::Write as _;

use super::screen::Screen;
use crate::dice::Dice;

/// An SVG drawing for `name`. The same name and screen always give the same drawing.
pub(super) fn shop_front(name: &str, screen: Screen) -> String {
    let (width, height, bricks) = match screen {
        Screen::Mobile => (480, 320, 60),
        Screen::Tablet => (900, 500, 240),
        Screen::Desktop => (1_280, 640, 640),
    };
    let mut dice = Dice::of(name);
    let hue = dice.below(360);
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{name}, {screen}">
<rect width="{width}" height="{height}" fill="hsl({hue},35%,30%)"/>
"##,
        screen = screen.as_str()
    );
    for _ in 0..bricks {
        let (x, y) = (dice.below(width), dice.below(height * 3 / 4));
        let _ = writeln!(
            svg,
            r#"<rect x="{x}" y="{y}" width="{}" height="9" rx="1" fill="hsl({},40%,{}%)"/>"#,
            20 + dice.below(16),
            (hue + dice.below(20)) % 360,
            32 + dice.below(14)
        );
    }
    let (window_width, window_height) = (width * 5 / 12, height / 2);
    let _ = writeln!(
        svg,
        r##"<rect x="{x}" y="{y}" width="{window_width}" height="{window_height}" fill="#f3e9d2" stroke="#2b2118" stroke-width="8"/>
<rect x="{door}" y="{y}" width="{door_width}" height="{door_height}" fill="#2b2118"/>"##,
        x = width / 12,
        y = height * 2 / 5,
        door = width * 7 / 12,
        door_width = width / 6,
        door_height = height * 3 / 5,
    );
    pole(&mut svg, width, height);
    let _ = writeln!(
        svg,
        r##"<text x="{}" y="{}" font-family="Georgia,serif" font-size="{}" fill="#f3e9d2">{name}</text>
<text x="{}" y="{}" font-family="monospace" font-size="14" fill="#f3e9d2">{}</text>
</svg>"##,
        width / 12,
        height / 4,
        height / 9,
        width / 12,
        height - 12,
        screen.as_str(),
    );
    svg
}

/// Adds a barber's pole with its stripes.
fn pole(svg: &mut String, width: u64, height: u64) {
    let (pole, top) = (width * 5 / 6, height / 4);
    let _ = writeln!(
        svg,
        r##"<rect x="{pole}" y="{top}" width="30" height="{}" rx="14" fill="#fff"/>"##,
        height / 2
    );
    for stripe in 0..(height / 2 / 24) {
        let y = top + stripe * 24;
        let colour = if stripe % 2 == 0 {
            "#c1272d"
        } else {
            "#1b3f8b"
        };
        let _ = writeln!(
            svg,
            r#"<path d="M{pole} {} l30 -12 v12 l-30 12 z" fill="{colour}"/>"#,
            y + 12
        );
    }
}
