#![no_main]

use libfuzzer_sys::fuzz_target;
use proxymachine_sniff::SniffError;
use proxymachine_sniff::postgres::{self, Message};

fuzz_target!(|data: &[u8]| {
    proxymachine_sniff_fuzz::check(data, |data| {
        let found = postgres::startup(data)?;
        assert!(found.offset + found.size <= data.len());
        match &found.message {
            // Gives way to the next message.
            Message::SslRequest | Message::GssEncRequest => Err(SniffError::Incomplete),
            Message::Startup(parameters) => {
                assert!(!parameters.user().is_empty() && !parameters.database().is_empty());
                Ok(format!("{found:?} {:?}", parameters.iter().collect::<Vec<_>>()))
            }
            Message::Cancel { .. } => Ok(format!("{found:?}")),
        }
    });
});
