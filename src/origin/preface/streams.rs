//! The guard of an HTTP/2 connection: it reads the heads of frames (RFC 9113 §4.1), and counts the field sections of each
//! stream.
//!
//! What a field section says is compressed, so an interim one looks like a final one. But a response has one final head
//! and one trailer section: what comes to more than [`PREFACE_MAX`] is interim responses without end.

use std::collections::HashMap;

use super::{Guard, PREFACE_MAX, TooMuch};

/// What a field section counts for at least, in bytes: a whole interim response can be told in ten, and costs whoever
/// keeps it until it is looked at some hundreds.
const SECTION_MIN: u64 = 1024;

/// How many streams are counted at once. Few are begun beyond what `origin.connections_max` lets run at a time; those that
/// we gave up do not say that they ended, so that now and then all are counted anew.
const STREAMS_MAX: usize = 16_384;

const HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;

/// What the streams of a connection have brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::origin) struct Streams {
    /// What was read of a frame's head.
    head: Vec<u8>,
    /// How much of a frame's payload is still to come, in bytes.
    payload: usize,
    /// Bytes of field sections, of the streams that have not ended.
    sections: HashMap<u32, u64>,
}

impl Guard for Streams {
    fn read(&mut self, mut bytes: &[u8]) -> Result<(), TooMuch> {
        while !bytes.is_empty() {
            let within = self.payload > 0;
            let wanted = if within { self.payload } else { HEAD - self.head.len() };
            let (these, rest) = bytes.split_at(wanted.min(bytes.len()));
            bytes = rest;
            if within {
                self.payload -= these.len();
                continue;
            }
            self.head.extend_from_slice(these);
            if let Ok(head) = <[u8; HEAD]>::try_from(&*self.head) {
                self.head.clear();
                self.frame(head)?;
            }
        }
        Ok(())
    }
}

impl Streams {
    /// Takes the head of a frame, whose payload follows.
    fn frame(&mut self, [high, middle, low, kind, flags, stream @ ..]: [u8; HEAD]) -> Result<(), TooMuch> {
        let length = u32::from_be_bytes([0, high, middle, low]);
        self.payload = usize::try_from(length).unwrap_or(usize::MAX);
        // The first bit is reserved, to be ignored.
        let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
        let ends = kind == RST_STREAM || matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0;
        if ends {
            self.sections.remove(&stream);
        } else if matches!(kind, HEADERS | CONTINUATION) {
            if self.sections.len() >= STREAMS_MAX {
                self.sections.clear();
            }
            let sections = self.sections.entry(stream).or_default();
            *sections = sections.saturating_add(u64::from(length).max(SECTION_MIN));
            if *sections > PREFACE_MAX {
                return Err(TooMuch);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, length: usize) -> Vec<u8> {
        let size = u32::try_from(length).unwrap().to_be_bytes();
        let mut bytes = vec![size[1], size[2], size[3], kind, flags];
        bytes.extend(stream.to_be_bytes());
        bytes.resize(HEAD + length, 0xff);
        bytes
    }

    fn read(frames: &[Vec<u8>]) -> Result<(), TooMuch> {
        Streams::default().read(&frames.concat())
    }

    #[test]
    fn field_sections_are_bounded_for_each_stream() {
        let most = usize::try_from(PREFACE_MAX / SECTION_MIN).unwrap();
        let rows = [
            ("as many as may", vec![frame(HEADERS, 0, 1, 10); most], Ok(())),
            ("one more", vec![frame(HEADERS, 0, 1, 10); most + 1], Err(TooMuch)),
            (
                "as many for each stream",
                [vec![frame(HEADERS, 0, 1, 10); most], vec![frame(HEADERS, 0, 3, 10); most]].concat(),
                Ok(()),
            ),
            ("by their length", vec![frame(HEADERS, 0, 1, 100_000); 11], Err(TooMuch)),
            ("with what continues them", vec![frame(CONTINUATION, 0, 1, 100_000); 11], Err(TooMuch)),
            ("content is as long as it is", vec![frame(DATA, 0, 1, 100_000); 20], Ok(())),
            ("other frames are others' affair", vec![frame(6, 0, 0, 8); 10_000], Ok(())),
        ];
        for (sentence, frames, expected) in rows {
            assert_eq!(read(&frames), expected, "{sentence}");
        }
    }

    #[test]
    fn a_stream_that_ended_is_forgotten() {
        for end in [frame(HEADERS, END_STREAM, 1, 10), frame(DATA, END_STREAM, 1, 0), frame(RST_STREAM, 0, 1, 4)] {
            let mut streams = Streams::default();
            streams.read(&frame(HEADERS, 0, 1, 10)).unwrap();
            assert_eq!(streams.sections.len(), 1);
            streams.read(&end).unwrap();
            assert!(streams.sections.is_empty());
        }
    }

    #[test]
    fn no_more_streams_are_counted_than_may_be() {
        let mut streams = Streams::default();
        for stream in 0..50_000 {
            streams.read(&frame(HEADERS, 0, stream, 10)).unwrap();
            assert!(streams.sections.len() <= STREAMS_MAX);
        }
    }

    proptest! {
        #[test]
        fn how_bytes_are_cut_says_nothing(
            frames in prop::collection::vec((0_u8..10, any::<u8>(), 0_u32..3, 0_usize..300), 0..12),
            more in prop::collection::vec(any::<u8>(), 0..40),
            piece in 1_usize..50,
        ) {
            let frames = frames.into_iter().map(|(kind, flags, stream, length)| frame(kind, flags, stream, length));
            let bytes: Vec<u8> = frames.flatten().chain(more).collect();
            let (mut whole, mut in_pieces) = (Streams::default(), Streams::default());
            let read = bytes.chunks(piece).try_for_each(|piece| in_pieces.read(piece));
            prop_assert_eq!(read, whole.read(&bytes));
            prop_assert_eq!(in_pieces, whole);
        }
    }
}
