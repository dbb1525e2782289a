//! Arrow columns as JSON values, so that the same code reads parquet rows and JSONL rows.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::cast;
use arrow_schema::DataType;
use serde_json::{Map, Number, Value};

use super::json::unreadable;

/// The rows of a batch as JSON objects; null columns are present as `null`, values that have no JSON form as what
/// `kind` names.
///
/// The error is a sentence that names a column that cannot be decoded.
pub(super) fn objects(batch: &RecordBatch) -> Result<Vec<Map<String, Value>>, String> {
    let mut rows = vec![Map::new(); batch.num_rows()];
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let values = values(column).map_err(|problem| format!("column `{}` {problem}", field.name()))?;
        for (row, value) in rows.iter_mut().zip(values) {
            row.insert(field.name().clone(), value);
        }
    }
    Ok(rows)
}

/// The values of a column, as [`objects`] has them.
pub(super) fn values(array: &ArrayRef) -> Result<Vec<Value>, String> {
    use DataType as T;
    let convert = |to: &DataType| cast(array, to).map_err(|e| format!("cannot be read: {e}"));
    Ok(match array.data_type() {
        T::Null => vec![Value::Null; array.len()],
        T::Boolean => array.as_boolean().iter().map(Value::from).collect(),
        T::Int8 | T::Int16 | T::Int32 | T::Int64 => {
            convert(&T::Int64)?.as_primitive::<Int64Type>().iter().map(Value::from).collect()
        }
        T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => {
            convert(&T::UInt64)?.as_primitive::<UInt64Type>().iter().map(Value::from).collect()
        }
        T::Float16 | T::Float32 | T::Float64 => {
            convert(&T::Float64)?.as_primitive::<Float64Type>().iter().map(|n| n.map_or(Value::Null, number)).collect()
        }
        T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..) => {
            convert(&T::Utf8)?.as_string::<i32>().iter().map(|text| text.map_or(Value::Null, decimal)).collect()
        }
        T::Dictionary(_, value) => values(&convert(value)?)?,
        T::List(field)
        | T::LargeList(field)
        | T::FixedSizeList(field, _)
        | T::ListView(field)
        | T::LargeListView(field) => lists(&convert(&T::LargeList(field.clone()))?)?,
        T::Struct(_) => structs(array)?,
        T::Map(..) => maps(array)?,
        // An instant prints in UTC without a time zone database once its zone, which is for display only, is gone.
        T::Timestamp(unit, Some(_)) => values(&convert(&T::Timestamp(*unit, None))?)?,
        T::Utf8
        | T::LargeUtf8
        | T::Utf8View
        | T::Timestamp(..)
        | T::Date32
        | T::Date64
        | T::Time32(_)
        | T::Time64(_) => convert(&T::LargeUtf8)?.as_string::<i64>().iter().map(Value::from).collect(),
        // Columns of text that do not say so, as ClickHouse writes them.
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => {
            convert(&T::LargeBinary)?.as_binary::<i64>().iter().map(|bytes| bytes.map_or(Value::Null, text)).collect()
        }
        other => {
            let name = format!("of type {other}, which has no JSON form");
            (0..array.len()).map(|i| if array.is_null(i) { Value::Null } else { unreadable(&name) }).collect()
        }
    })
}

/// Numbers that are none have names in Python's JSON, too.
fn number(value: f64) -> Value {
    let name = || {
        if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
    };
    Number::from_f64(value).map_or_else(|| unreadable(name()), Value::Number)
}

/// A decimal is a number where that says the same, else the text of its digits.
fn decimal(text: &str) -> Value {
    if let Ok(whole) = text.parse::<i64>() {
        return whole.into();
    }
    match text.parse::<f64>() {
        Ok(value) if text.contains('.') && text.len() <= 16 => number(value),
        _ => text.into(),
    }
}

fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => unreadable("bytes that are not UTF-8 text"),
    }
}

fn lists(array: &ArrayRef) -> Result<Vec<Value>, String> {
    let list = array.as_list::<i64>();
    let mut items = values(list.values())?;
    let ranges = list.value_offsets().windows(2).map(|w| w[0] as usize..w[1] as usize);
    Ok(ranges
        .enumerate()
        .map(|(i, range)| match list.is_null(i) {
            true => Value::Null,
            false => items[range].iter_mut().map(Value::take).collect(),
        })
        .collect())
}

fn structs(array: &ArrayRef) -> Result<Vec<Value>, String> {
    let list = array.as_struct();
    let mut rows = vec![Map::new(); list.len()];
    for (field, column) in list.fields().iter().zip(list.columns()) {
        for (row, value) in rows.iter_mut().zip(values(column)?) {
            row.insert(field.name().clone(), value);
        }
    }
    let rows = rows.into_iter().enumerate();
    Ok(rows.map(|(i, row)| if list.is_null(i) { Value::Null } else { Value::Object(row) }).collect())
}

/// Maps are objects; keys that are not strings are written as JSON.
fn maps(array: &ArrayRef) -> Result<Vec<Value>, String> {
    let map = array.as_map();
    let (keys, mut items) = (values(map.keys())?, values(map.values())?);
    let offsets = map.value_offsets();
    let object = |i: usize| {
        let range = offsets[i] as usize..offsets[i + 1] as usize;
        let key = |key: &Value| key.as_str().map_or_else(|| key.to_string(), str::to_owned);
        Value::Object(range.map(|j| (key(&keys[j]), items[j].take())).collect())
    };
    Ok((0..map.len())
        .map(object)
        .enumerate()
        .map(|(i, object)| if map.is_null(i) { Value::Null } else { object })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::super::json::kind;
    use super::*;
    use arrow_array::builder::{MapBuilder, StringBuilder, StringDictionaryBuilder};
    use arrow_array::types::Int32Type;
    use arrow_array::{BinaryArray, Decimal128Array, DurationSecondArray, Float64Array, LargeStringArray};
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn columns_of_other_tools_become_values() {
        let decimals = |values: Vec<i128>, scale| {
            Arc::new(Decimal128Array::from(values).with_precision_and_scale(38, scale).unwrap()) as ArrayRef
        };
        let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        map.keys().append_value("k");
        map.values().append_value("v");
        map.append(true).unwrap();
        map.append(false).unwrap();
        let mut words = StringDictionaryBuilder::<Int32Type>::new();
        words.append("x").unwrap();
        words.append_null();
        for (array, expected) in [
            (Arc::new(BinaryArray::from(vec![Some(&b"h\xc3\xa9"[..]), None])) as ArrayRef, json!(["hé", null])),
            (Arc::new(LargeStringArray::from(vec!["a", "b"])), json!(["a", "b"])),
            (decimals(vec![45, -5], 1), json!([4.5, -0.5])),
            (decimals(vec![7, 123_456_789_012_345_678_901_234], 0), json!([7, "123456789012345678901234"])),
            (Arc::new(map.finish()), json!([{"k": "v"}, null])),
            (Arc::new(words.finish()), json!(["x", null])),
        ] {
            assert_eq!(Value::from(values(&array).unwrap()), expected);
        }
        let named = |array: ArrayRef| kind(&values(&array).unwrap()[0]).to_owned();
        assert_eq!(named(Arc::new(Float64Array::from(vec![f64::NAN]))), "NaN");
        assert_eq!(named(Arc::new(Float64Array::from(vec![f64::NEG_INFINITY]))), "-Infinity");
        assert_eq!(named(Arc::new(BinaryArray::from(vec![&b"\xff"[..]]))), "bytes that are not UTF-8 text");
        assert!(named(Arc::new(DurationSecondArray::from(vec![1]))).starts_with("of type Duration"));
    }
}
