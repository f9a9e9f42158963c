//! The far end of the programs: this kernel's sockets, told by the first byte of a connection what to
//! do.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// The port of the programs' listeners.
const DIALLED: u16 = 7007;
/// Long enough for a program to have gone to sleep.
const LATER: Duration = Duration::from_millis(150);

/// How often.
const FLOOD: u64 = 50_000;
/// How long a question for an end waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How the connections ended that were to be watched, and have not been asked for.
static ENDS: Mutex<Vec<&str>> = Mutex::new(Vec::new());

/// Serves connections, each in a thread of its own, as long as the process lives.
pub(crate) fn serve(listener: TcpListener) {
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // Called from here, so that the thread is in the namespace of its listener.
            thread::spawn(move || {
                // A program that is killed resets its connections: nothing is left to do then.
                let _ = serve_one(stream);
            });
        }
    });
}

fn serve_one(mut stream: TcpStream) -> std::io::Result<()> {
    let mut what = [0];
    stream.set_nodelay(true)?;
    stream.read_exact(&mut what)?;
    match &what {
        // Sends everything back.
        b"e" => echo(&mut stream),
        // Closes behind a word.
        b"c" => stream.write_all(b"bye"),
        // Resets.
        b"r" => socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)),
        // Resets later.
        b"R" => {
            thread::sleep(LATER);
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))
        }
        // Says something later.
        b"l" => {
            thread::sleep(LATER);
            stream.write_all(b"late")?;
            echo(&mut stream)
        }
        // Says a little often.
        b"f" => {
            for n in 0..FLOOD {
                stream.write_all(&[b'f'; 200])?;
                // At all distances from what the program does.
                let next = Instant::now() + Duration::from_micros(n % 32);
                while Instant::now() < next {
                    std::hint::spin_loop();
                }
            }
            Ok(())
        }
        // Reads nothing for a while.
        b"n" => {
            thread::sleep(Duration::from_secs(5));
            Ok(())
        }
        // Waits for the end.
        b"w" => stream.read_to_end(&mut Vec::new()).map(drop),
        // Notes how the connection ends.
        b"t" => {
            let end = match stream.read_to_end(&mut Vec::new()) {
                Ok(_) => "end",
                Err(_) => "reset",
            };
            ENDS.lock().unwrap().push(end);
            Ok(())
        }
        // Tells how that one ended.
        b"q" => {
            let deadline = Instant::now() + PATIENCE;
            let end = loop {
                match ENDS.lock().unwrap().pop() {
                    Some(end) => break end,
                    None if Instant::now() > deadline => break "none",
                    None => thread::sleep(Duration::from_millis(5)),
                }
            };
            stream.write_all(end.as_bytes())
        }
        // Dials back, says hello, and passes the answer on.
        b"d" => {
            thread::sleep(LATER);
            let program = SocketAddr::new(stream.peer_addr()?.ip(), DIALLED);
            let mut there = TcpStream::connect(program)?;
            there.write_all(b"hello")?;
            let mut answer = [0; 6];
            there.read_exact(&mut answer)?;
            stream.write_all(&answer)
        }
        _ => Ok(()),
    }
}

fn echo(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return stream.shutdown(Shutdown::Write);
        }
        stream.write_all(buffer.get(..count).unwrap_or_default())?;
    }
}
