// Threads of the standard library that calculate, lock, wait and talk through channels: threads GO
use std::collections::HashMap;
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Barrier, Condvar, Mutex, RwLock};
use std::time::Duration;
use std::{env, path::Path, process, thread};

const WORKERS: usize = 6;

thread_local! {
    static OWN: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

fn calculate(number: u64) -> f64 {
    (1..20_000).map(|i| ((i * number) as f64).sqrt()).sum()
}

fn fail(reason: String) -> ! {
    println!("FAIL: {reason}");
    process::exit(1)
}

fn main() {
    let go = env::args().nth(1).expect("the go file");
    let table: Arc<RwLock<HashMap<u64, f64>>> = Arc::default();
    let turns = Arc::new((Mutex::new(0u64), Condvar::new()));
    let barrier = Arc::new(Barrier::new(WORKERS));
    let (results, collected) = sync_channel::<(u64, f64)>(2);
    let mut inboxes = Vec::new();
    let mut threads = Vec::new();
    for worker in 0..WORKERS {
        let (inbox, mail) = channel::<u64>();
        inboxes.push(inbox);
        let (table, turns, barrier, results) = (table.clone(), turns.clone(), barrier.clone(), results.clone());
        threads.push(thread::spawn(move || {
            let mut handled = 0;
            for number in mail {
                let result = calculate(number);
                table.write().unwrap().insert(number, result);
                results.send((number, result)).unwrap();
                handled += 1;
                OWN.with(|own| own.set(own.get() + 1));
                // Each waits for its turn, and all for each other.
                let (turn, changed) = &*turns;
                let mut now = turn.lock().unwrap();
                while *now % WORKERS as u64 != worker as u64 {
                    now = changed.wait_timeout(now, Duration::from_secs(5)).unwrap().0;
                }
                *now += 1;
                changed.notify_all();
                drop(now);
                barrier.wait();
            }
            if OWN.with(|own| own.get()) != handled {
                fail(format!("worker {worker} lost count"));
            }
        }));
    }
    let mut number = 0;
    while !Path::new(&go).exists() {
        for inbox in &inboxes {
            number += 1;
            inbox.send(number).unwrap();
        }
        for _ in 0..WORKERS {
            let (number, result) = collected.recv().unwrap();
            if result != calculate(number) || table.read().unwrap()[&number] != result {
                fail(format!("result {number} is {result}"));
            }
        }
        println!("{number}");
    }
    drop(inboxes);
    for one in threads {
        one.join().unwrap();
    }
    println!("EXIT-SUCCESS");
}
