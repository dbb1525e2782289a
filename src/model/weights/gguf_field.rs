//! Metadata of a GGUF file to write, and its encoding.

/// A metadata value to write.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// A u32.
    U32(u32),
    /// An i32.
    I32(i32),
    /// An f32.
    F32(f32),
    /// A boolean.
    Flag(bool),
    /// A string.
    Text(String),
    /// An array of strings.
    Texts(Vec<String>),
    /// An array of i32.
    I32s(Vec<i32>),
    /// An array of f32.
    F32s(Vec<f32>),
    /// As another file has it, behind the code of its type.
    Stored(Vec<u8>),
}

/// The metadata of a file, in order.
pub(in crate::model) type NewMetadata = Vec<(String, Field)>;

/// Appends a string as the format writes it.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// Appends a value behind the code of its type.
pub(super) fn value(out: &mut Vec<u8>, field: &Field) {
    let array = |out: &mut Vec<u8>, kind: u32, length: usize| {
        out.extend(9_u32.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend((length as u64).to_le_bytes());
    };
    let scalar = |out: &mut Vec<u8>, kind: u32, bytes: &[u8]| {
        out.extend(kind.to_le_bytes());
        out.extend(bytes);
    };
    match field {
        Field::U32(number) => scalar(out, 4, &number.to_le_bytes()),
        Field::I32(number) => scalar(out, 5, &number.to_le_bytes()),
        Field::F32(number) => scalar(out, 6, &number.to_le_bytes()),
        Field::Flag(flag) => scalar(out, 7, &[u8::from(*flag)]),
        Field::Text(text) => {
            out.extend(8_u32.to_le_bytes());
            string(out, text);
        }
        Field::Texts(texts) => {
            array(out, 8, texts.len());
            texts.iter().for_each(|text| string(out, text));
        }
        Field::I32s(numbers) => {
            array(out, 5, numbers.len());
            numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
        }
        Field::F32s(numbers) => {
            array(out, 6, numbers.len());
            numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
        }
        Field::Stored(bytes) => out.extend(bytes),
    }
}
