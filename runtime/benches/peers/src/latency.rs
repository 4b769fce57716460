//! One client on one connection, one request at a time. wrk tells whole microseconds, which is too coarse
//! for what a guard adds to a request that meets no other.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Instant,
};

use crate::{common::race::median, servers::PATH};

const ROUNDS: usize = 60;
const REQUESTS: usize = 150;

/// Prints a line for each round: the median of each server, in microseconds.
pub fn run(token: &str, servers: &[&str]) {
    let request = request(&format!("authorization: Bearer {token}\r\n"));
    let mut streams: Vec<TcpStream> = servers.iter().map(connected).collect();
    for _ in 0..ROUNDS {
        let medians =
            streams.iter_mut().map(|stream| median((0..REQUESTS).map(|_| ask(stream, &request)).skip(10)));
        println!("{}", medians.map(|median| median.to_string()).collect::<Vec<_>>().join(" "));
    }
}

/// The status that a request gets.
pub fn status(address: &str, header: &str) -> u16 {
    let mut stream = connected(&address);
    stream.write_all(request(header).as_bytes()).unwrap();
    let mut buffer = [0; 4096];
    let read = stream.read(&mut buffer).unwrap();
    let answer = String::from_utf8_lossy(&buffer[..read]);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

fn request(header: &str) -> String {
    format!("GET {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\n{header}\r\n")
}

fn connected(address: &&str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn ask(stream: &mut TcpStream, request: &str) -> f64 {
    let mut buffer = [0; 4096];
    let start = Instant::now();
    stream.write_all(request.as_bytes()).unwrap();
    let mut read = 0;
    // An empty answer ends with its head.
    while !buffer[..read].ends_with(b"\r\n\r\n") {
        let more = stream.read(&mut buffer[read..]).unwrap();
        assert!(more > 0, "the server has closed the connection");
        read += more;
    }
    start.elapsed().as_secs_f64() * 1e6
}
