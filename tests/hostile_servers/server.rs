//! A server that answers whoever comes with the same bytes.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use super::answers::{Answer, Manner};

/// From one byte to the next of a server that takes its time.
const DRIP: Duration = Duration::from_millis(20);

pub(super) struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start(address: SocketAddr, answer: &Answer) -> Self {
        let listener = listen(address).expect("an address of our own");
        let address = listener.local_addr().expect("an address");
        let answer = answer.clone();
        let task = tokio::spawn(async move {
            let mut clients = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let answer = answer.clone();
                // That a client hangs up is what is waited for.
                clients.spawn(async move { drop(serve(client, &answer).await) });
            }
        });
        Self { address, task }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leaves its address to the next.
    pub(super) async fn stop(mut self) {
        self.task.abort();
        // It was aborted, and says so.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The one before may have stood at the same address.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(64)
}

async fn serve(mut client: TcpStream, answer: &Answer) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut heard = [0; 16 * 1024];
    if answer.manner != Manner::HangUp && client.read(&mut heard).await? == 0 {
        return Ok(());
    }
    match answer.manner {
        Manner::HangUp => {}
        Manner::Once => client.write_all(&answer.bytes).await?,
        Manner::EachTime => loop {
            client.write_all(&answer.bytes).await?;
            if client.read(&mut heard).await? == 0 {
                break;
            }
        },
        Manner::Silent => while client.read(&mut heard).await? > 0 {},
        Manner::Endless => {
            client.write_all(&answer.bytes).await?;
            loop {
                client.write_all(&answer.more).await?;
            }
        }
        Manner::Drip => {
            for byte in answer.bytes.iter().chain(answer.more.iter().cycle()) {
                client.write_all(&[*byte]).await?;
                tokio::time::sleep(DRIP).await;
            }
        }
    }
    client.shutdown().await
}
