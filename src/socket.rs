//! What every TCP connection is told, that of a client and that to an origin.

use std::io;

use tokio::net::TcpStream;

/// How many bytes may wait in the kernel that it has not sent yet.
///
/// Left to itself, Linux lets some MB wait for each peer that reads nothing, which is nobody's bound: of a thousand such
/// clients the kernel held all the memory that it has for TCP, and connections to the origin stood still as well.
#[cfg(target_os = "linux")]
const UNSENT_MAX: u32 = 128 * 1024;

/// Prepares a connection: it sends what is written at once, and keeps little of what it cannot send.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Messages are written whole; waiting for more to send only delays them.
    stream.set_nodelay(true)?;
    // A kernel that does not know this has bounds of its own.
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_MAX);
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_that_reads_nothing_is_held_little_for() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let reader = tokio::net::TcpSocket::new_v4().unwrap();
        reader.set_recv_buffer_size(4096).unwrap();
        let (reader, accepted) = tokio::join!(reader.connect(listener.local_addr().unwrap()), listener.accept());
        let (_reader, stream) = (reader.unwrap(), accepted.unwrap().0);
        prepare(&stream).unwrap();
        let mut taken = 0;
        let piece = vec![0; 64 * 1024];
        stream.writable().await.unwrap();
        while let Ok(some) = stream.try_write(&piece) {
            taken += some;
        }
        // What is full is one piece over at most; what was sent and not read is the reader's few KB.
        assert!(taken <= 2 * UNSENT_MAX as usize, "{taken} bytes");
    }
}
