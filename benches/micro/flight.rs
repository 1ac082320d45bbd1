//! Sharing an exchange: from joining to the answer, with an exchange that answers at once.

use std::time::Duration;

use divan::Bencher;
use tokio::runtime::Builder;
use truehit::clock::Clock;
use truehit::flight::{Flights, Landing};
use truehit::rules::policy::Collapse;

/// The defaults.
const RULES: Collapse = Collapse { enabled: true, overlap: 2, gather: 0.5, gather_max: Duration::from_millis(5) };

/// So many members share one exchange.
#[divan::bench(args = [1, 64])]
fn members(bencher: Bencher<'_, '_>, members: usize) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let clock = Clock::system();
    let flights: Flights<u64, u64> = Flights::new(clock, 10_000, Duration::from_secs(60));
    bencher.bench_local(|| {
        runtime.block_on(async {
            // All have arrived before the exchange begins, so all may use it.
            let arrived = clock.moment();
            let join = |_| flights.join(1, arrived, Duration::ZERO, &RULES, |_| async { 1 }).unwrap();
            let joined: Vec<_> = (0..members).map(join).collect();
            for (number, member) in joined.into_iter().enumerate() {
                assert_eq!(member.is_starter(), number == 0);
                assert!(matches!(member.landed().await, Landing::Answered { .. }));
            }
        });
    });
}
