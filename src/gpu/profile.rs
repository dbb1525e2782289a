//! Device time of every kernel in a recording, from timestamps.

use std::collections::BTreeMap;

use super::device::Gpu;
use super::kernel::Cost;
use super::recording::Recording;
use super::roofline::{Ceilings, Raised, Roofline, Work};
use crate::{Error, Result};

/// Time and cost of one kernel, summed over its dispatches.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ProfileRow {
    /// `file/entry`.
    pub kernel: String,
    /// Number of dispatches.
    pub dispatches: usize,
    /// Seconds on the device.
    pub seconds: f64,
    /// Floating-point operations.
    pub flops: f64,
    /// Those of them on cooperative matrices.
    pub cooperative_flops: f64,
    /// Bytes, each operand counted once.
    pub bytes: f64,
}

/// The time that one replay spent in each kernel, the slowest first.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Profile {
    /// One row per kernel.
    pub rows: Vec<ProfileRow>,
}

impl Profile {
    /// Seconds on the device, of all kernels.
    pub fn seconds(&self) -> f64 {
        self.rows.iter().map(|row| row.seconds).sum()
    }

    /// As [`Ceilings::rooflines`], for each row.
    pub fn rooflines(&self, ceilings: &mut Ceilings) -> (Vec<Roofline>, Vec<Raised>) {
        let work = |row: &ProfileRow| Work {
            cost: Cost { flops: row.flops, cooperative_flops: row.cooperative_flops, bytes: row.bytes, rounds: 0.0 },
            dispatches: row.dispatches,
            seconds: row.seconds,
        };
        let works: Vec<(&str, Work)> = self.rows.iter().map(|row| (&*row.kernel, work(row))).collect();
        ceilings.rooflines(&works)
    }
}

/// Maximum number of timestamps in a query set (WebGPU's limit).
const QUERIES: usize = 4096;

impl Recording {
    /// Replays once with a timestamp after each dispatch.
    ///
    /// # Errors
    /// If the adapter has no timestamps or the recording has more dispatches than a query set holds.
    pub async fn profile(&mut self, gpu: &Gpu) -> Result<Profile> {
        if !gpu.has_timestamps() {
            return Err(Error::device("profiling", format!("{} has no timestamps", gpu.name()), ""));
        }
        let count = self.len() + 1;
        if count > QUERIES {
            return Err(Error::device(
                "profiling",
                format!("{count} timestamps exceed {QUERIES}"),
                "profile fewer layers",
            ));
        }
        let queries = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("profile"),
            ty: wgpu::QueryType::Timestamp,
            count: count as u32,
        });
        self.submit(gpu, 0..self.len(), Some(&queries))?;
        let bytes = count as u64 * 8;
        let resolved = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size: bytes,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        encoder.resolve_query_set(&queries, 0..count as u32, &resolved, 0);
        gpu.queue.submit([encoder.finish()]);
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&gpu.read_bytes(&resolved, 0, bytes).await?);
        let period = f64::from(gpu.queue.get_timestamp_period()) * 1e-9;
        let mut rows: BTreeMap<&str, (usize, f64, Cost)> = BTreeMap::new();
        for (dispatch, pair) in self.dispatches.iter().zip(ticks.windows(2)) {
            let row = rows.entry(&dispatch.pipeline.name).or_default();
            row.0 += 1;
            row.1 += pair[1].saturating_sub(pair[0]) as f64 * period;
            row.2 += dispatch.cost;
        }
        let mut rows: Vec<ProfileRow> = rows
            .into_iter()
            .map(|(kernel, (dispatches, seconds, cost))| ProfileRow {
                kernel: kernel.to_owned(),
                dispatches,
                seconds,
                flops: cost.flops,
                cooperative_flops: cost.cooperative_flops,
                bytes: cost.bytes,
            })
            .collect();
        rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        Ok(Profile { rows })
    }
}
