//! Arrow IPC: files in its file format (also called Feather), and files that hold a stream, as the broker delivers them.
//!
//! A footer says how long each piece is, and the reader allocates what it says; so every piece is first held against the
//! length of the file. A stream is decoded as it comes, and takes no more room than what came.

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;

use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::ipc::reader::{FileReader, StreamDecoder, read_footer_length};
use datafusion::arrow::ipc::{Block, root_as_footer, root_as_message};
use datafusion::arrow::record_batch::RecordBatch;

use super::list::Listed;
use super::parquet::{FOOTERS_MAX, read_as, same};
use super::place::Place;
use super::wanted::Wanted;
use super::{File, Group, text};

/// The first file's schema, and the batches of the first files, where they are known without reading them.
pub(super) fn metadata(place: &Place, listed: Vec<Listed>) -> Result<(SchemaRef, Vec<File>), String> {
    let mut schema = None;
    let mut files = Vec::with_capacity(listed.len());
    for (n, entry) in listed.into_iter().enumerate() {
        let mut groups = Vec::new();
        if n < FOOTERS_MAX {
            let failed = |e: String| format!("{}: {e}", entry.path.display());
            let mut file = place.open(&entry).map_err(|e| failed(e.to_string()))?;
            let streamed = is_stream(&mut file).map_err(failed)?;
            let found = if streamed {
                Streamed::open(file).map_err(failed)?.schema
            } else {
                groups = batches(&mut file).map_err(failed)?;
                reader(file, None).map_err(failed)?.schema()
            };
            let found = read_as(&found);
            match &schema {
                None => schema = Some(found),
                Some(first) if same(first, &found) => {}
                Some(_) => return Err(failed("it has other columns than the first file".to_owned())),
            }
            if groups.is_empty() && !streamed {
                continue;
            }
        }
        files.push(File {
            path: entry.path,
            meta: entry.meta,
            groups,
        });
    }
    Ok((Arc::new(schema.ok_or("no file")?), files))
}

/// Batches of a file to read.
pub(super) struct Rows {
    /// Which of the file.
    pub(super) wanted: Wanted,
    /// From which batch to before which; all where that is unknown.
    pub(super) batches: Option<(usize, usize)>,
    /// Every column, as it is handed on.
    pub(super) schema: SchemaRef,
}

impl Rows {
    /// Reads the batches, handing each to `send` for as long as it returns true. Errors hold no value.
    pub(super) fn read(self, send: &mut dyn FnMut(RecordBatch) -> bool) -> Result<(), String> {
        let failed = |e: String| format!("{}: {e}", self.wanted.file.path.display());
        let open = || self.wanted.place.open(&self.wanted.file).map_err(|e| failed(e.to_string()));
        let mut file = open()?;
        if is_stream(&mut file).map_err(failed)? {
            let streamed = Streamed::open(file).map_err(failed)?;
            self.check(&streamed.schema).map_err(failed)?;
            let columns = self.wanted.columns.clone();
            let batches = streamed.map(move |batch| batch.and_then(|b| b.project(&columns).map_err(|_| DAMAGED.to_owned())));
            return self.hand_on(batches, send).map_err(failed);
        }
        let count = batches(&mut file).map_err(failed)?.len();
        let (from, to) = self.batches.unwrap_or((0, count));
        if to > count {
            return Err(failed(CHANGED.to_owned()));
        }
        self.check(&reader(file, None).map_err(failed)?.schema()).map_err(failed)?;
        let mut reader = reader(open()?, Some(self.wanted.columns.clone())).map_err(failed)?;
        if from > 0 {
            reader.set_index(from).map_err(|_| failed(DAMAGED.to_owned()))?;
        }
        let batches = reader.take(to - from).map(|batch| batch.map_err(|_| DAMAGED.to_owned()));
        self.hand_on(batches, send).map_err(failed)
    }

    fn check(&self, schema: &Schema) -> Result<(), String> {
        if same(&read_as(schema), &self.wanted.described) {
            Ok(())
        } else {
            Err(CHANGED.to_owned())
        }
    }

    fn hand_on(
        &self,
        batches: impl Iterator<Item = Result<RecordBatch, String>>,
        send: &mut dyn FnMut(RecordBatch) -> bool,
    ) -> Result<(), String> {
        let read = Arc::new(self.wanted.described.project(&self.wanted.columns).map_err(|e| e.to_string())?);
        let wanted = Arc::new(self.schema.project(&self.wanted.columns).map_err(|e| e.to_string())?);
        let mut left = self.wanted.limit.unwrap_or(usize::MAX);
        for batch in batches {
            let batch = batch?;
            let batch = batch.slice(0, batch.num_rows().min(left));
            left -= batch.num_rows();
            let batch = text::convert(&batch, &read, &wanted).map_err(|_| "its values cannot be read".to_owned())?;
            if !send(batch) || left == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// Whether the file holds a stream: the other format begins with a word of its own.
fn is_stream<R: Read + Seek>(file: &mut R) -> Result<bool, String> {
    let mut begin = [0; 6];
    file.rewind().map_err(|e| e.to_string())?;
    file.read_exact(&mut begin).map_err(|_| NO_ARROW.to_owned())?;
    file.rewind().map_err(|e| e.to_string())?;
    Ok(begin != *b"ARROW1")
}

/// A stream in a file.
struct Streamed<R> {
    file: R,
    decoder: StreamDecoder,
    piece: Buffer,
    schema: SchemaRef,
    first: Option<RecordBatch>,
    ended: bool,
}

impl<R: Read> Streamed<R> {
    /// Reads as far as the schema.
    fn open(file: R) -> Result<Self, String> {
        let mut streamed = Self {
            file,
            decoder: StreamDecoder::new(),
            piece: Buffer::from(Vec::<u8>::new()),
            schema: Arc::new(Schema::empty()),
            first: None,
            ended: false,
        };
        while streamed.decoder.schema().is_none() && !streamed.ended {
            streamed.first = streamed.step()?;
        }
        streamed.schema = streamed.decoder.schema().ok_or(NO_ARROW)?;
        Ok(streamed)
    }

    /// Decodes some more, reading if need be.
    fn step(&mut self) -> Result<Option<RecordBatch>, String> {
        if self.piece.is_empty() {
            let mut bytes = vec![0; BUFFER_BYTES];
            let length = self.file.read(&mut bytes).map_err(|e| e.to_string())?;
            if length == 0 {
                self.ended = true;
                return self.decoder.finish().map(|()| None).map_err(|_| DAMAGED.to_owned());
            }
            bytes.truncate(length);
            self.piece = Buffer::from(bytes);
        }
        self.decoder.decode(&mut self.piece).map_err(|_| DAMAGED.to_owned())
    }
}

impl<R: Read> Iterator for Streamed<R> {
    type Item = Result<RecordBatch, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.first.take() {
                return Some(Ok(batch));
            }
            if self.ended {
                return None;
            }
            match self.step() {
                Ok(Some(batch)) => return Some(Ok(batch)),
                Ok(None) => {}
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

fn reader<R: Read + Seek>(file: R, columns: Option<Vec<usize>>) -> Result<FileReader<BufReader<R>>, String> {
    FileReader::try_new(BufReader::with_capacity(BUFFER_BYTES, file), columns).map_err(|_| NO_ARROW.to_owned())
}

/// The batches, each a piece of the file as it is long now.
fn batches<R: Read + Seek>(file: &mut R) -> Result<Vec<Group>, String> {
    let io = |e: std::io::Error| e.to_string();
    let length = file.seek(SeekFrom::End(0)).map_err(io)?;
    let mut end = [0; 10];
    if length < 20 {
        return Err(NO_ARROW.to_owned());
    }
    file.seek(SeekFrom::End(-10)).map_err(io)?;
    file.read_exact(&mut end).map_err(io)?;
    let size = read_footer_length(end).map_err(|_| NO_ARROW.to_owned())?;
    let from = u64::try_from(size)
        .ok()
        .and_then(|size| (length - 10).checked_sub(size))
        .ok_or(NO_ARROW)?;
    let mut footer = vec![0; size];
    file.seek(SeekFrom::Start(from)).map_err(io)?;
    file.read_exact(&mut footer).map_err(io)?;
    let footer = root_as_footer(&footer).map_err(|_| NO_ARROW.to_owned())?;
    for block in footer.dictionaries().into_iter().flatten() {
        piece(block, length)?;
    }
    let mut groups = Vec::new();
    for block in footer.recordBatches().into_iter().flatten() {
        let (offset, header, body) = piece(block, length)?;
        let mut bytes = vec![0; header];
        file.seek(SeekFrom::Start(offset)).map_err(io)?;
        file.read_exact(&mut bytes).map_err(io)?;
        // Before the message stands its length, and since version 0.15 a mark before that.
        let prefix = if bytes.starts_with(&[0xff; 4]) { 8 } else { 4 };
        let message = bytes.get(prefix..).and_then(|m| root_as_message(m).ok());
        let rows = message.and_then(|m| m.header_as_record_batch()).map(|b| b.length());
        groups.push(Group {
            rows: rows.and_then(|r| u64::try_from(r).ok()).ok_or(NO_ARROW)?,
            bytes: body,
        });
    }
    Ok(groups)
}

/// Where a piece begins, and how long its header and its body are.
fn piece(block: &Block, length: u64) -> Result<(u64, usize, u64), &'static str> {
    let offset = u64::try_from(block.offset()).map_err(|_| NO_ARROW)?;
    let header = u64::try_from(block.metaDataLength()).map_err(|_| NO_ARROW)?;
    let body = u64::try_from(block.bodyLength()).map_err(|_| NO_ARROW)?;
    let end = offset.checked_add(header).and_then(|e| e.checked_add(body)).ok_or(NO_ARROW)?;
    if end > length {
        return Err(NO_ARROW);
    }
    Ok((offset, usize::try_from(header).map_err(|_| NO_ARROW)?, body))
}

const NO_ARROW: &str = "it is not a whole Arrow file";
const DAMAGED: &str = "it is damaged, or not what it was";
const CHANGED: &str = "it is no longer what was described";
const BUFFER_BYTES: usize = 256 * 1024;
