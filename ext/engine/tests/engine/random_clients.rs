//! Many sessions at once with random slicing and endings.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use proxymachine_engine::{Config, Remote, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::*;

/// The route of a session, in its second byte.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Echo,
    LastMessage,
    Refused,
    Reset,
}

/// The client's last act.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ending {
    Fin,
    Rst,
    Leave,
}

#[derive(Debug, Clone)]
struct Session {
    way: Way,
    /// Number of bytes before the decision, in the first byte.
    decided_after: u8,
    slices: Vec<usize>,
    ending: Ending,
}

fn session() -> impl Strategy<Value = Session> {
    use Way::{Echo, LastMessage, Refused, Reset};
    let way = prop_oneof![4 => Just(Echo), 1 => Just(LastMessage), 1 => Just(Refused), 1 => Just(Reset)];
    let ending = prop_oneof![4 => Just(Ending::Fin), 1 => Just(Ending::Rst), 1 => Just(Ending::Leave)];
    let slice = prop_oneof![4 => 1..100_usize, 1 => 1..100_000_usize];
    (way, 2..200_u8, vec(slice, 0..6), ending).prop_map(|(way, decided_after, slices, ending)| Session {
        way,
        decided_after,
        slices,
        ending,
    })
}

fn router(echo: Remote, refusing: Remote, resetting: Remote) -> impl proxymachine_engine::Router {
    deciding(move |data| {
        if data.len() < usize::from(data[0]) {
            return Verdict::Wait(None);
        }
        match data[1] {
            way if way == Way::Echo as u8 => Verdict::connect(echo.clone()),
            way if way == Way::LastMessage as u8 => Verdict::Close(Some("words".into())),
            way if way == Way::Refused as u8 => Verdict::connect(refusing.clone()),
            _ => Verdict::connect(resetting.clone()),
        }
    })
}

/// Plays a session. An echo must return the client's bytes unless the client left before.
async fn play(session: Session, mut client: TcpStream) -> Result<(), TestCaseError> {
    let total: usize = session.slices.iter().sum();
    let mut bytes = pattern(0..2 + total);
    (bytes[0], bytes[1]) = (session.decided_after, session.way as u8);
    let decided = bytes.len() >= usize::from(session.decided_after);
    let (mut reader, mut writer) = client.split();
    let send = async {
        let mut rest = &bytes[..];
        for slice in [2].iter().chain(&session.slices) {
            let (now, later) = rest.split_at(*slice);
            if writer.write_all(now).await.is_err() {
                return;
            }
            rest = later;
            tokio::task::yield_now().await;
        }
        if session.ending == Ending::Fin {
            let _ = writer.shutdown().await;
        }
    };
    if session.ending != Ending::Fin {
        within("the slices to be taken", send).await;
        match session.ending {
            Ending::Rst => reset(client),
            _ => drop(client),
        }
        return Ok(());
    }
    let mut received = Vec::new();
    let (_, ()) =
        within("the end of a session", async { tokio::join!(reader.read_to_end(&mut received), send) }).await;
    match session.way {
        Way::Echo if decided => prop_assert!(received == bytes, "{} bytes came back", received.len()),
        Way::LastMessage if decided => prop_assert!(b"words".starts_with(&received[..])),
        _ => prop_assert!(received.is_empty()),
    }
    Ok(())
}

async fn echo(mut backend_stream: TcpStream) {
    let (mut reader, mut writer) = backend_stream.split();
    let _ = tokio::io::copy(&mut reader, &mut writer).await;
}

async fn play_all(sessions: Vec<Session>) -> Result<(), TestCaseError> {
    let backend = Arc::new(Backend::start());
    let (_socket, refusing) = Backend::refusing();
    let router = router(backend.remote.clone(), refusing, Backend::resetting());
    let proxy = Proxy::with(Config { threads: 2, ..config() }, router);
    let echoing = tokio::spawn(async move {
        loop {
            tokio::spawn(echo(backend.accept_whenever().await));
        }
    });
    let count = sessions.len();
    let mut players = JoinSet::new();
    for session in sessions {
        players.spawn(play(session, proxy.client().await));
    }
    for played in players.join_all().await {
        played?;
    }
    // All clients were accepted and will end.
    proxy.events.closed(count).await;
    echoing.abort();
    proxy.finish().await;
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_to_sessions_each_ends_once_and_loses_nothing(sessions in vec(session(), 1..40)) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(play_all(sessions))?;
    }
}
