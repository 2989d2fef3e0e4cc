//! What happened each second, as columns: the newest at the right end of what there is, all sides on
//! one scale. Where there is room for two, how many waited comes below how long it took.

use std::time::Duration;

use ratatui::layout::Rect;

use super::look::{Align, Pen};
use super::{NAMES, Place, View};
use crate::demo::view::{Side, count, time};

/// Higher columns tell no more.
const HIGHEST: u16 = 14;
/// From here on there is room for two.
const TWO: u16 = 14;
const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// One kind of column.
struct Series {
    title: &'static str,
    values: fn(&Side) -> Vec<f64>,
    /// How the top of the scale is written.
    top: fn(f64) -> String,
}

const SLOWEST: Series = Series {
    title: "slowest answer of each second",
    values: |side| side.slowest.iter().map(Duration::as_secs_f64).collect(),
    top: |seconds| time(Duration::from_secs_f64(seconds)),
};
const WAITING: Series = Series {
    title: "most requests waiting in each second",
    values: |side| side.most_waiting.iter().map(|&waiting| waiting as f64).collect(),
    top: |waiting| count(waiting as u64),
};

pub(super) fn draw(pen: &mut Pen<'_>, area: Rect, view: &View, places: &[Place]) {
    if area.height < TWO {
        return SLOWEST.draw(pen, area, view, places);
    }
    let half = (area.height - 1) / 2;
    let height = half.min(HIGHEST + 1);
    SLOWEST.draw(pen, Rect { height, ..area }, view, places);
    WAITING.draw(pen, Rect { y: area.y + height + 1, height, ..area }, view, places);
}

impl Series {
    fn draw(&self, pen: &mut Pen<'_>, area: Rect, view: &View, places: &[Place]) {
        let height = area.height - 1;
        let dim = pen.look.dim();
        pen.put(1, area.y, u16::MAX, Align::Left, self.title, dim);
        let lately = |(side, place): (&Side, &Place)| {
            let all = (self.values)(side);
            all[all.len().saturating_sub(place.width.into())..].to_vec()
        };
        let sides: Vec<Vec<f64>> = view.sides.iter().zip(places).map(lately).collect();
        let top = sides.iter().flatten().copied().fold(0.0, f64::max);
        if top <= 0.0 {
            return;
        }
        pen.put(1, area.y + 1, NAMES - 3, Align::Right, &(self.top)(top), dim);
        if height > 1 {
            pen.put(1, area.y + height, NAMES - 3, Align::Right, "0", dim);
        }
        for ((side, place), values) in view.sides.iter().zip(places).zip(&sides) {
            let style = pen.look.of(side.kind);
            for (column, value) in (0..place.width).zip(values) {
                let mut eighths = (value / top * f64::from(height) * 8.0).ceil() as usize;
                for row in (1..=height).rev() {
                    let glyph = EIGHTHS[eighths.min(8)];
                    pen.put(place.x + column, area.y + row, 1, Align::Left, glyph, style);
                    eighths = eighths.saturating_sub(8);
                }
            }
        }
    }
}
