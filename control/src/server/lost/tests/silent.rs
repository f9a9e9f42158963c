//! Workers that hang: nobody waits for them for long, and they do no harm when they go on.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::mpsc::SyncSender;

use super::*;
use crate::management::{ClientError, Statistics};
use crate::server::host;

/// Two looks, each of which may be late, beside what a worker may take.
const LATEST: Duration = Duration::from_secs(host::PATIENCE.as_secs() + 4);

type Engine = thread::JoinHandle<Result<(), ServerError>>;

/// An engine that runs, and what has its second worker hang.
fn engine(folder: &Path) -> (Engine, impl FnOnce() -> SyncSender<()>) {
    let (send, receive) = channel();
    let at = folder.to_owned();
    let thread = thread::spawn(move || {
        let control = control(&at);
        send.send(control.hosts.paralysis(WORKERS[1])).unwrap();
        control.run()
    });
    (thread, receive.recv().unwrap())
}

fn ask_rows(path: &Path) -> Result<Vec<ConnectionRow>, ClientError> {
    Asking::connect(path)?.ask(&Request::ShowConnections)
}

fn end(engine: Engine) {
    pthread_kill(engine.as_pthread_t(), Signal::SIGTERM).unwrap();
    let limit = Instant::now() + LATEST;
    while !engine.is_finished() {
        assert!(Instant::now() < limit, "the engine does not end");
        thread::sleep(Duration::from_millis(10));
    }
    let ended = engine.join().unwrap();
    assert!(ended.is_ok(), "{ended:?}");
}

/// Asserts that the ends at the second worker are reset, and that the others carry bytes.
fn assert_reset(pairs: &[Pair]) {
    for Pair { near, far, workers } in pairs {
        for (socket, worker) in [(near, workers[0]), (far, workers[1])] {
            if worker == 1 {
                assert_eq!(socket.recv(&mut [0; 8]), Err(libc::ECONNRESET));
            }
        }
        if *workers == [0, 0] {
            answers(near, far);
            answers(far, near);
        }
    }
}

#[test]
fn who_asks_a_worker_that_hangs_is_told_so_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, hang) = engine(folder.path());
    let path = folder.path().join("engine.sock");
    let client = Client::attach(&path);
    let asking = RefCell::new(Asking::connect(&path).unwrap());
    let rows = || asking.borrow_mut().ask(&Request::ShowConnections);
    let pairs = connect(&client, LISTENER, 24, || rows().unwrap());
    // The listener that was closed is something to ask workers, too: that is over once this is answered.
    rows().unwrap();
    let release = hang();
    let asked = Instant::now();
    match rows() {
        Err(ClientError::Refused(text)) => {
            assert!(text.contains("worker 1 has not answered"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert!(asked.elapsed() < LATEST, "{:?}", asked.elapsed());
    assert_reset(&pairs);
    // From then on nobody waits for it.
    let asked = Instant::now();
    assert!(ask_rows(&path).unwrap().iter().all(|row| row.worker == 0));
    let mut asking = Asking::connect(&path).unwrap();
    let told: Statistics = asking.ask(&Request::Statistics).unwrap();
    let counted = |name: &str| told.counters.get(name).copied();
    assert_eq!(counted("WorkersSilent"), Some(1));
    assert_eq!(counted("WorkersPanicked"), Some(0));
    assert!(asked.elapsed() < host::PATIENCE, "{:?}", asked.elapsed());
    // It may yet write to the slots that it had: they are nobody else's.
    let is_lost = |worker: &u8| *worker == 1;
    let slots = |pair: &Pair| {
        let ends = [&pair.near, &pair.far].into_iter().zip(pair.workers);
        let lost = ends.filter(|(_, worker)| is_lost(worker));
        lost.map(|(socket, _)| socket.slot.slot())
            .collect::<Vec<_>>()
    };
    let lost: HashSet<u32> = pairs.iter().flat_map(slots).collect();
    assert!(!lost.is_empty());
    drop(pairs);
    let again: Vec<Socket> = (0..64).map(|_| client.open()).collect();
    let again: HashSet<u32> = again.iter().map(|socket| socket.slot.slot()).collect();
    assert!(again.is_disjoint(&lost), "{again:?} and {lost:?}");
    // One that goes on again ends itself.
    drop(release);
    for Pair { near, far, workers } in
        connect(&client, "10.7.7.7:9", 8, || ask_rows(&path).unwrap())
    {
        assert_eq!(workers, [0, 0]);
        answers(&near, &far);
    }
    end(engine);
}

#[test]
fn a_worker_that_hangs_is_found_though_nobody_asks_it() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, hang) = engine(folder.path());
    let path = folder.path().join("engine.sock");
    let client = Client::attach(&path);
    let pairs = connect(&client, LISTENER, 24, || ask_rows(&path).unwrap());
    let release = hang();
    let hung = Instant::now();
    assert_reset(&pairs);
    assert!(hung.elapsed() < LATEST, "{:?}", hung.elapsed());
    drop(release);
    end(engine);
}

#[test]
fn an_engine_ends_though_a_worker_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, hang) = engine(folder.path());
    let release = hang();
    end(engine);
    drop(release);
}
