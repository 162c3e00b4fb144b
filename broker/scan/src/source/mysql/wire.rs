//! Packets of the MySQL protocol, and the pieces that they are made of.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What a packet may hold at most, however many frames it came in.
const PACKET_BYTES_MAX: usize = 128 * 1024 * 1024;
const FRAME_BYTES_MAX: usize = 0xff_ffff;
const READ_BYTES: usize = 256 * 1024;

/// A connection, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Why a packet could not be sent, read or understood.
#[derive(Debug)]
pub(super) enum WireError {
    Io(io::Error),
    /// Not what the protocol promises.
    Malformed(&'static str),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        WireError::Io(error)
    }
}

/// Sends and reads packets.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
    sequence: u8,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            sequence: 0,
        }
    }

    /// The bare connection, to encrypt it. Whatever came before that would pass for encrypted: refused.
    pub(super) fn into_stream(self) -> Result<(Box<dyn Stream>, u8), WireError> {
        if self.buffer.is_empty() {
            Ok((self.stream, self.sequence))
        } else {
            Err(WireError::Malformed("bytes before the encryption"))
        }
    }

    /// Goes on with the numbers of packets where the bare connection stopped.
    pub(super) fn continuing(stream: Box<dyn Stream>, sequence: u8) -> Self {
        Self {
            sequence,
            ..Self::new(stream)
        }
    }

    /// Sends the first packet of an exchange.
    pub(super) async fn command(&mut self, payload: &[u8]) -> Result<(), WireError> {
        self.sequence = 0;
        self.send(payload).await
    }

    /// Sends a further packet of an exchange.
    pub(super) async fn send(&mut self, payload: &[u8]) -> Result<(), WireError> {
        if payload.len() >= FRAME_BYTES_MAX {
            return Err(WireError::Malformed("a statement longer than a frame"));
        }
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
        let mut frame = Vec::with_capacity(payload.len() + 4);
        frame.extend_from_slice(length.get(..3).unwrap_or_default());
        frame.push(self.sequence);
        frame.extend_from_slice(payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.stream.write_all(&frame).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// Reads a packet.
    pub(super) async fn packet(&mut self) -> Result<Bytes, WireError> {
        let (first, more) = self.frame().await?;
        if !more {
            return Ok(first);
        }
        let mut whole = BytesMut::from(first);
        loop {
            let (next, more) = self.frame().await?;
            if whole.len() + next.len() > PACKET_BYTES_MAX {
                return Err(WireError::Malformed("a packet that is too long"));
            }
            whole.extend_from_slice(&next);
            if !more {
                return Ok(whole.freeze());
            }
        }
    }

    /// A frame, and whether the packet goes on in the next.
    async fn frame(&mut self) -> Result<(Bytes, bool), WireError> {
        let header = loop {
            if let Some(header) = self.buffer.first_chunk::<4>() {
                break *header;
            }
            self.more().await?;
        };
        let [a, b, c, sequence] = header;
        if sequence != self.sequence {
            return Err(WireError::Malformed("packets out of order"));
        }
        self.sequence = sequence.wrapping_add(1);
        let length = usize::try_from(u32::from_le_bytes([a, b, c, 0])).unwrap_or(usize::MAX);
        while self.buffer.len() < length + 4 {
            self.buffer.reserve((length + 4 - self.buffer.len()).max(READ_BYTES));
            self.more().await?;
        }
        self.buffer.advance(4);
        Ok((self.buffer.split_to(length).freeze(), length == FRAME_BYTES_MAX))
    }

    async fn more(&mut self) -> Result<(), WireError> {
        self.buffer.reserve(READ_BYTES);
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(WireError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }
}

/// Takes a packet apart. `None`: it is shorter than it must be.
pub(super) struct Parts<'a>(pub(super) &'a [u8]);

impl<'a> Parts<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        Some(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.array()?))
    }

    /// A number of variable width.
    pub(super) fn number(&mut self) -> Option<u64> {
        match self.u8()? {
            short @ 0..=0xfa => Some(u64::from(short)),
            0xfc => Some(u64::from(self.u16()?)),
            0xfd => {
                let [a, b, c] = self.array()?;
                Some(u64::from(u32::from_le_bytes([a, b, c, 0])))
            }
            0xfe => self.u64(),
            _ => None,
        }
    }

    /// Bytes after their number.
    pub(super) fn counted(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    /// Bytes before a zero, or all that are left.
    pub(super) fn terminated(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(self.0.len());
        let (head, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        head
    }
}

/// Appends bytes after their number.
pub(super) fn put_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    match u16::try_from(bytes.len()) {
        Ok(short @ 0..=0xfa) => out.extend(u8::try_from(short)),
        Ok(middle) => {
            out.push(0xfc);
            out.extend_from_slice(&middle.to_le_bytes());
        }
        Err(_) => {
            out.push(0xfe);
            out.extend_from_slice(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
        }
    }
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn packets_of_several_frames_are_joined_and_their_order_is_checked() {
        let (mut server, client) = tokio::io::duplex(1 << 20);
        let mut wire = Wire::new(Box::new(client));
        let sent = tokio::spawn(async move {
            let full = vec![7; FRAME_BYTES_MAX];
            server.write_all(&[0xff, 0xff, 0xff, 0]).await.unwrap();
            server.write_all(&full).await.unwrap();
            server.write_all(&[2, 0, 0, 1, 8, 9]).await.unwrap();
            server.write_all(&[0, 0, 0, 7]).await.unwrap();
            server
        });
        let packet = wire.packet().await.unwrap();
        assert_eq!(packet.len(), FRAME_BYTES_MAX + 2);
        assert!(packet.ends_with(&[7, 8, 9]));
        assert!(matches!(wire.packet().await, Err(WireError::Malformed("packets out of order"))));
        drop(sent.await.unwrap());
    }

    #[test]
    fn a_packet_that_ends_early_is_none() {
        for whole in [&[0xfc, 1, 0][..], &[0xfd, 1, 2, 3], &[0xfe, 1, 0, 0, 0, 0, 0, 0, 0], &[250]] {
            assert!(Parts(whole).number().is_some());
            assert_eq!(whole.split_last().and_then(|(_, short)| Parts(short).number()), None);
        }
        assert_eq!(Parts(&[5, 1, 2]).counted(), None);
        assert_eq!(Parts(&[0xff]).number(), None);
        assert_eq!(Parts(&[0xfe, 255, 255, 255, 255, 255, 255, 255, 255, 1]).counted(), None);
        for length in [0, 250, 251, 65_535, 65_536] {
            let mut out = Vec::new();
            put_counted(&mut out, &vec![1; length]);
            assert_eq!(Parts(&out).counted().map(<[u8]>::len), Some(length));
        }
    }
}
