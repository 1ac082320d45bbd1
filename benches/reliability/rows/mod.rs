//! The rows, by the ids of the catalogue of faults that they answer.
//!
//! Not here: what needs Redis (G06), the rows of bad input (G12, G13: `tests/catalogue`), and fuzzing (G18: `make fuzz`).

mod audit;
mod collapse;
mod crowd;
mod kills;
mod linearity;
mod memory;
mod odd;
mod soak;

use std::pin::Pin;

use crate::Scale;
use crate::report::Report;

/// A row: its id, and how it is run.
pub struct Row {
    pub id: &'static str,
    pub run: fn(Scale) -> Pin<Box<dyn Future<Output = Report>>>,
    /// Whether it takes so long that it runs only by name.
    pub long: bool,
}

macro_rules! row {
    ($id:literal, $run:path, long: $long:literal) => {
        Row { id: $id, run: |scale| Box::pin($run(scale)), long: $long }
    };
    ($id:literal, $run:path) => {
        row!($id, $run, long: false)
    };
}

pub const ALL: [Row; 17] = [
    row!("G01", linearity::plain),
    row!("G02", linearity::flaky),
    row!("G03", collapse::hot),
    row!("G04", collapse::herd),
    row!("G05", kills::origin),
    row!("G07", kills::own),
    row!("G08", kills::reloads),
    row!("G09", memory::unique),
    row!("G10", memory::large),
    row!("G11", crowd::slow),
    row!("G14", odd::h2),
    row!("G15", crowd::isolation),
    row!("G16", crowd::cancellation),
    row!("G17", odd::clock),
    row!("G19", audit::lies),
    row!("G20", odd::unverifiable),
    row!("soak", soak::mixed, long: true),
];
