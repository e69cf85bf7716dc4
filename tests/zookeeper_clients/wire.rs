//! A wire to a server that notes what goes over it, and can be held or cut.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(super) struct Wire {
    address: SocketAddr,
    noted: Arc<Noted>,
    cuts: watch::Sender<usize>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Noted {
    /// The kinds of requests, but for the first of each connection, which has none.
    asked: Mutex<Vec<i32>>,
    connections: AtomicUsize,
    is_held: AtomicBool,
}

impl Wire {
    pub(super) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let noted = Arc::new(Noted::default());
        let (cuts, cut) = watch::channel(0);
        let all = Arc::clone(&noted);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                all.connections.fetch_add(1, Ordering::SeqCst);
                let (noted, mut cut) = (Arc::clone(&all), cut.clone());
                cut.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = carry(client, server, &noted) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { address, noted, cuts, task }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn asked(&self) -> Vec<i32> {
        self.noted.asked.lock().expect("a list").clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.noted.connections.load(Ordering::SeqCst)
    }

    /// While it is held, requests are noted and go no further.
    pub(super) fn hold(&self, hold: bool) {
        self.noted.is_held.store(hold, Ordering::SeqCst);
    }

    /// Ends all connections.
    pub(super) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Nobody can connect any more.
    pub(super) async fn shut(&self) {
        self.task.abort();
        while TcpStream::connect(self.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(client: TcpStream, server: SocketAddr, noted: &Noted) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
    let requests = async {
        let mut is_first = true;
        loop {
            let length = from_client.read_u32().await?;
            let mut request = vec![0; length as usize];
            from_client.read_exact(&mut request).await?;
            if !is_first {
                let kind = i32::from_be_bytes(request[4..8].try_into().expect("four bytes"));
                noted.asked.lock().expect("a list").push(kind);
            }
            is_first = false;
            if !noted.is_held.load(Ordering::SeqCst) {
                to_server.write_all(&[length.to_be_bytes().as_slice(), &request].concat()).await?;
            }
        }
    };
    tokio::select! {
        broken = requests => broken,
        ended = tokio::io::copy(&mut from_server, &mut to_client) => ended.map(drop),
    }
}
