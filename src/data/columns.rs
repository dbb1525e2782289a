//! Arrow columns as JSON values, so that parquet rows and JSONL rows are read by the same code.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use serde_json::{Map, Value};

/// The rows of a batch as JSON objects; null columns are present as `null`.
///
/// The error is a sentence that names the column whose type has no JSON form.
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

fn values(array: &ArrayRef) -> Result<Vec<Value>, String> {
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
            convert(&T::Float64)?.as_primitive::<Float64Type>().iter().map(Value::from).collect()
        }
        T::Dictionary(_, value) => values(&convert(value)?)?,
        T::List(field) | T::LargeList(field) | T::FixedSizeList(field, _) => {
            lists(&convert(&T::LargeList(field.clone()))?)?
        }
        T::Struct(_) => structs(array)?,
        // An instant prints in UTC without a time zone database once its zone, which is for display only, is gone.
        T::Timestamp(unit, Some(_)) => values(&convert(&T::Timestamp(*unit, None))?)?,
        T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Timestamp(..) | T::Date32 | T::Date64 => {
            convert(&T::Utf8)?.as_string::<i32>().iter().map(Value::from).collect()
        }
        other => return Err(format!("has type {other}, which has no JSON form")),
    })
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
