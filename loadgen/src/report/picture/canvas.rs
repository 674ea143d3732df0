//! What all pictures share: sizes, colours by day and by night, title, legend and axes.
//!
//! The colours by day are in the SVG itself, for viewers that know no style sheets; those by night
//! are rules of a style sheet that names them by the colours of the day.

use super::axis::Axis;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::fmt::Write;

pub(super) type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

const PAPER: RGBColor = RGBColor(255, 255, 255);
const INK: RGBColor = RGBColor(52, 58, 64);
const GRID: RGBColor = RGBColor(226, 230, 234);
pub(super) const GREY: RGBColor = RGBColor(134, 142, 150);
pub(super) const BLUE: RGBColor = RGBColor(25, 98, 200);
pub(super) const ORANGE: RGBColor = RGBColor(217, 98, 8);
pub(super) const GREEN: RGBColor = RGBColor(43, 138, 62);
const RED: RGBColor = RGBColor(201, 42, 42);
const PURPLE: RGBColor = RGBColor(112, 72, 232);
const TEAL: RGBColor = RGBColor(11, 124, 133);
const BROWN: RGBColor = RGBColor(133, 87, 62);
const PINK: RGBColor = RGBColor(194, 37, 122);
const OLIVE: RGBColor = RGBColor(102, 117, 17);

/// By day, and by night.
const NIGHT: [(RGBColor, &str); 13] = [
    (PAPER, "#15181c"),
    (INK, "#c9d1d9"),
    (GRID, "#2b3138"),
    (GREY, "#8b949e"),
    (BLUE, "#6cb0ff"),
    (ORANGE, "#ffa657"),
    (GREEN, "#6fdc82"),
    (RED, "#ff8078"),
    (PURPLE, "#c9a6ff"),
    (TEAL, "#56d4dd"),
    (BROWN, "#d7a68a"),
    (PINK, "#ff8fc7"),
    (OLIVE, "#c5d86d"),
];

/// A colour for the series of this number.
pub(super) fn series_color(index: usize) -> RGBColor {
    [GREEN, TEAL, PURPLE, ORANGE, RED, BROWN, BLUE, PINK, OLIVE][index % 9]
}

/// Rules that turn the pictures under `selector` dark.
pub fn dark_rules(selector: &str) -> String {
    let mut rules = String::new();
    for (RGBColor(r, g, b), night) in NIGHT {
        for attribute in ["fill", "stroke"] {
            let day = format!("#{r:02X}{g:02X}{b:02X}");
            write!(rules, "{selector} [{attribute}=\"{day}\"]{{{attribute}:{night}}}")
                .expect("a string takes everything");
        }
    }
    rules
}

/// For which page a picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    Wide,
    Narrow,
}

/// A line of the legend.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) color: RGBColor,
    label: String,
    dashed: bool,
}

impl Entry {
    pub(super) fn line(label: String, color: RGBColor) -> Self {
        Self { color, label, dashed: false }
    }

    pub(super) fn dashes(label: String, color: RGBColor) -> Self {
        Self { color, label, dashed: true }
    }
}

/// An empty picture.
pub(super) struct Canvas<'a> {
    pub(super) size: Size,
    pub(super) title: &'a str,
    pub(super) legend: &'a [Entry],
}

const LINE_HEIGHT: usize = 19;

impl Canvas<'_> {
    /// Draws the frame, and what `paint` draws into it.
    pub(super) fn draw(&self, paint: impl FnOnce(&Area<'_>) -> Drawn) -> String {
        let mut svg = String::new();
        self.draw_to(&mut svg, paint).expect("a string takes everything");
        self.finish(&svg)
    }

    fn draw_to(&self, svg: &mut String, paint: impl FnOnce(&Area<'_>) -> Drawn) -> Drawn {
        let (width, height) = self.size.pixels();
        let title = wrap(self.title, self.size.columns());
        let lines = title.len() + self.legend.len().div_ceil(self.size.legend_columns());
        let head = 14 + lines * LINE_HEIGHT;
        let root = SVGBackend::with_string(svg, (width, height + head as u32)).into_drawing_area();
        root.fill(&PAPER)?;
        for (i, line) in title.iter().enumerate() {
            let bold = ("sans-serif", 15, FontStyle::Bold).into_font().color(&INK);
            root.draw(&Text::new(line.as_str(), (12, 10 + (i * LINE_HEIGHT) as i32), bold))?;
        }
        self.draw_legend(&root, 14 + title.len() * LINE_HEIGHT)?;
        paint(&root.margin(head as u32, 0, 0, 0))?;
        root.present()
    }

    fn draw_legend(&self, root: &Area<'_>, top: usize) -> Drawn {
        let columns = self.size.legend_columns();
        let column_width = self.size.pixels().0 as usize / columns;
        for (i, entry) in self.legend.iter().enumerate() {
            let (x, y) = (12 + (i % columns) * column_width, top + (i / columns) * LINE_HEIGHT);
            let (x, y) = (x as i32, y as i32 + 6);
            let style = entry.color.stroke_width(3);
            let dashes =
                if entry.dashed { vec![(x, x + 8), (x + 13, x + 21)] } else { vec![(x, x + 21)] };
            for (from, to) in dashes {
                root.draw(&PathElement::new(vec![(from, y), (to, y)], style))?;
            }
            root.draw(&Text::new(entry.label.as_str(), (x + 28, y - 6), self.size.small_text()))?;
        }
        Ok(())
    }

    /// Gives the picture its name for those who cannot see it.
    fn finish(&self, svg: &str) -> String {
        let (open, rest) = svg.split_once('>').expect("an SVG begins with a tag");
        let title = self.title.replace('&', "&amp;").replace('<', "&lt;");
        format!("{open} role=\"img\"><title>{title}</title>{rest}")
    }
}

impl Size {
    /// Of the plot, without title and legend.
    const fn pixels(self) -> (u32, u32) {
        match self {
            Self::Wide => (920, 360),
            Self::Narrow => (380, 300),
        }
    }

    /// Letters of a title in a line.
    const fn columns(self) -> usize {
        match self {
            Self::Wide => 100,
            Self::Narrow => 42,
        }
    }

    const fn legend_columns(self) -> usize {
        match self {
            Self::Wide => 2,
            Self::Narrow => 1,
        }
    }

    pub(super) fn small_text(self) -> TextStyle<'static> {
        ("sans-serif", 14).into_font().color(&INK)
    }

    /// Seconds from 0 to `end`.
    pub(super) fn time_axis(self, end: f64) -> Axis {
        Axis::linear(end, if self == Self::Wide { 10 } else { 5 })
    }

    /// The frame of a plot.
    pub(super) fn chart<'a, 'b>(self, area: &'a Area<'b>) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
        let mut chart = ChartBuilder::on(area);
        let right = if self == Self::Wide { 24 } else { 16 };
        chart.margin_top(8).margin_right(right).margin_bottom(4).margin_left(4);
        chart.x_label_area_size(42).y_label_area_size(62);
        chart
    }

    /// The axes of a plot.
    pub(super) fn mesh(
        self,
        chart: &mut Chart<'_, '_>,
        x_name: &str,
        x_label: &dyn Fn(&f64) -> String,
        y_name: &str,
        y_label: &dyn Fn(&f64) -> String,
    ) -> Drawn {
        chart
            .configure_mesh()
            .max_light_lines(0)
            .bold_line_style(GRID)
            .axis_style(GREY)
            .label_style(self.small_text())
            .x_desc(x_name)
            .y_desc(y_name)
            .x_label_formatter(x_label)
            .y_label_formatter(y_label)
            .draw()
    }
}

/// Breaks a line between words.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_between_words() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("longer-than-that", 8), ["longer-than-that"]);
    }

    #[test]
    fn an_svg_names_itself_by_day_and_by_night() {
        let title = "a < b & c";
        let svg = Canvas { size: Size::Narrow, title, legend: &[] }.draw(|_| Ok(()));
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.contains("<title>a &lt; b &amp; c</title>"));
        assert!(svg.contains("fill=\"#FFFFFF\""));
        assert!(dark_rules("svg").contains("svg [fill=\"#FFFFFF\"]{fill:#15181c}"));
    }
}
