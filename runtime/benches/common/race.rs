//! Contenders measured in turns, so that what disturbs one disturbs all. What is told is the median of
//! the ratios to the first of them, round by round: a ratio repeats where a time does not.

use std::{hint::black_box, time::Instant};

use super::report::Report;

/// A group of contenders for the same work; the first is what the others are compared with.
pub struct Race<'c> {
    title: String,
    contenders: Vec<Contender<'c>>,
    between: Box<dyn FnMut() + 'c>,
}

struct Contender<'c> {
    name: String,
    work: Box<dyn FnMut(&str) + 'c>,
    /// Nanoseconds for one piece of work, a round each.
    times: Vec<f64>,
}

/// Rounds whose times are not told: caches fill, branches are learnt.
const WARM_UP: usize = 10;

/// Rounds of a race, the warm-up among them.
const ROUNDS: usize = 210;

impl<'c> Race<'c> {
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), contenders: Vec::new(), between: Box::new(|| {}) }
    }

    /// Adds a contender.
    pub fn with<T>(mut self, name: impl Into<String>, mut work: impl FnMut(&str) -> T + 'c) -> Self {
        let work = Box::new(move |token: &str| drop(black_box(work(black_box(token)))));
        self.contenders.push(Contender { name: name.into(), work, times: Vec::new() });
        self
    }

    /// What is done after each contender's turn, outside of the time.
    pub fn between(self, between: impl FnMut() + 'c) -> Self {
        Self { between: Box::new(between), ..self }
    }

    /// Every contender gets every token once, `batch` of them in a turn: none was seen before.
    pub fn cold(self, tokens: &[String], batch: usize) -> Outcome {
        let batches: Vec<Vec<&str>> =
            tokens.chunks_exact(batch).map(|batch| batch.iter().map(String::as_str).collect()).collect();
        self.run(batches.iter().map(Vec::as_slice))
    }

    /// The same token again and again, `batch` times in a turn.
    pub fn warm(self, token: &str, batch: usize) -> Outcome {
        let batch = vec![token; batch];
        self.run(std::iter::repeat_n(batch.as_slice(), ROUNDS))
    }

    fn run<'t>(mut self, batches: impl Iterator<Item = &'t [&'t str]>) -> Outcome {
        let measuring = super::measuring();
        for (round, batch) in batches.enumerate().take(if measuring { usize::MAX } else { 1 }) {
            let batch = if measuring { batch } else { batch.get(..1).unwrap_or(batch) };
            let count = self.contenders.len();
            // Nobody is always the one who finds the others' data in the cache.
            for turn in 0..count {
                if let Some(contender) = self.contenders.get_mut((round + turn) % count) {
                    let time = contender.turn(batch);
                    if round >= WARM_UP || !measuring {
                        contender.times.push(time);
                    }
                }
                (self.between)();
            }
        }
        Outcome::of(self.title, self.contenders)
    }
}

impl Contender<'_> {
    /// Nanoseconds a token. The tokens are in the cache, as they are when they were just received.
    fn turn(&mut self, batch: &[&str]) -> f64 {
        black_box(batch.iter().flat_map(|token| token.bytes()).map(u64::from).sum::<u64>());
        let start = Instant::now();
        for token in batch {
            (self.work)(token);
        }
        start.elapsed().as_secs_f64() * 1e9 / batch.len() as f64
    }
}

/// What a race showed.
pub struct Outcome {
    title: String,
    lanes: Vec<Lane>,
}

struct Lane {
    name: String,
    median: f64,
    /// To the first contender: median, and what a quarter of the rounds stayed below and above.
    ratio: f64,
    quartiles: (f64, f64),
    difference: f64,
}

impl Outcome {
    fn of(title: String, contenders: Vec<Contender<'_>>) -> Self {
        let base = contenders.first().map(|first| first.times.clone()).unwrap_or_default();
        let lane = |contender: Contender<'_>| {
            let pairs = || contender.times.iter().zip(&base);
            let ratios: Vec<f64> = pairs().map(|(time, base)| time / base).collect();
            Lane {
                difference: median(pairs().map(|(time, base)| time - base)),
                ratio: median(ratios.iter().copied()),
                quartiles: (quantile(ratios.iter().copied(), 0.25), quantile(ratios.iter().copied(), 0.75)),
                median: median(contender.times.iter().copied()),
                name: contender.name,
            }
        };
        Self { title, lanes: contenders.into_iter().map(lane).collect() }
    }

    /// The median ratio of a contender to the first one.
    pub fn ratio(&self, name: &str) -> f64 {
        self.lanes.iter().find(|lane| lane.name == name).map_or(f64::NAN, |lane| lane.ratio)
    }

    /// The ratio of whoever comes closest to the first one.
    pub fn least_of_others(&self) -> f64 {
        self.lanes.iter().skip(1).map(|lane| lane.ratio).fold(f64::INFINITY, f64::min)
    }

    /// The median of the nanoseconds that a contender needs more than the first one.
    pub fn difference(&self, name: &str) -> f64 {
        self.lanes.iter().find(|lane| lane.name == name).map_or(f64::NAN, |lane| lane.difference)
    }

    /// Adds a table to the report.
    pub fn report(self, report: &mut Report) -> Self {
        for lane in &self.lanes {
            report.row(&self.title, &lane.name, "ns", lane.median, lane.ratio, Some(lane.quartiles));
        }
        self
    }
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    quantile(values, 0.5)
}

pub fn quantile(values: impl Iterator<Item = f64>, at: f64) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get((values.len() as f64 * at) as usize).copied().unwrap_or(f64::NAN)
}
