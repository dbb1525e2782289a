//! An open adapter: its device, queue, pipelines and memory, and the first fault of its driver.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures_channel::oneshot;
use wgr_shaders::{Check, Member, Operand, Program};

use super::adapter::{self, AdapterChoice, Preset};
use super::cooperative;
use super::kernel::{Identity, Kernel, Source};
use super::memory::{self, Ledger, Memory, Pooled, SharedPool};
use super::poller::Poller;
use super::tuning::{Operation, Tuning, Variant};
use crate::{Error, Result};

/// Whether shaders keep the driver's bounds and loop checks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Every access is checked and workgroup memory is zeroed: for tests.
    Checked,
    /// The engine's own shaders run without checks; before each dispatch, the host compares the operands with what the
    /// shader declares. 1.3 to 2.5 times faster on software adapters.
    #[default]
    Trusted,
}

/// Limits the engine keeps to; tests make them tiny.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest storage binding in bytes; larger tensors are sharded by rows.
    pub binding_bytes: u64,
}

/// Options for opening an adapter; runs use the default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether shaders keep the driver's checks.
    pub mode: Mode,
    /// Limits to keep to, below those of the adapter.
    pub limits: Option<Limits>,
    /// A preset to use instead of the one that suits the adapter.
    pub preset: Option<Preset>,
    /// Whether to load 32-bit words even if the adapter has larger ones: for tests.
    pub narrow: bool,
}

/// A compiled shader permutation with its constants.
#[derive(Debug)]
pub struct Pipeline {
    pub(super) name: String,
    pub(super) features: Vec<&'static str>,
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
    check: Check,
    /// Keeps the shader alive, because its address is its identity.
    _source: Source,
}

impl Pipeline {
    /// Compares parameters and tensors with what the shader declares.
    ///
    /// # Errors
    /// The first difference, with the kernel and the operand.
    pub(super) fn check(&self, members: &[Member], words: &[u32], operands: &[Operand]) -> Result<()> {
        self.check.compare(members, words, operands).map_err(|problem| Error::kernel(&self.name, problem))
    }
}

/// A shader, its features and its constants.
type PipelineKey = (Identity, Vec<&'static str>, Vec<(&'static str, u32)>);

/// The first fault that the driver reported outside a call that could return it.
#[derive(Debug, Default)]
struct Fault(Mutex<Option<(String, &'static str)>>);

impl Fault {
    fn record(&self, problem: String, hint: &'static str) {
        self.0.lock().expect("nothing under this lock can panic").get_or_insert((problem, hint));
    }
}

/// An open adapter.
pub struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    preset: Preset,
    mode: Mode,
    limits: Limits,
    pipelines: Mutex<HashMap<PipelineKey, Arc<Pipeline>>>,
    pub(super) pool: SharedPool,
    fault: Arc<Fault>,
    poller: Poller,
    tuning: Tuning,
    cooperative_side: Option<u32>,
    large_tiles: u32,
    loop_rounds: Option<u32>,
}

/// Large tiles of a product from which they occupy a GPU as well as smaller ones, which load more for each operation.
const LARGE_TILES: u32 = 96;

/// Rounds of all loops of an invocation together after which some software drivers end every loop, without a word.
pub const LOOP_ROUNDS: u32 = 65_535;
/// What to do about such a driver.
pub(crate) const LOOP_HINT: &str = "update the driver: Mesa 25 has no such limit";

impl Gpu {
    /// Opens the adapter the user named, or the best one.
    ///
    /// Runs open theirs with [`crate::kernels::open`], which also tests it.
    ///
    /// # Errors
    /// If there is none, or it does not open.
    pub async fn open(choice: &AdapterChoice) -> Result<Self> {
        Self::open_with(choice, Options::default()).await
    }

    /// Opens an adapter with options.
    ///
    /// # Errors
    /// If there is none, it does not open, or it cannot run the requested preset.
    pub async fn open_with(choice: &AdapterChoice, options: Options) -> Result<Self> {
        let adapter = adapter::choose(choice).await?;
        let info = adapter.get_info();
        let offered = adapter.limits();
        let mut wanted = wgpu::Features::SUBGROUP
            | wgpu::Features::SHADER_F16
            | wgpu::Features::TIMESTAMP_QUERY
            | wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES;
        let preset = options.preset.unwrap_or_else(|| adapter::preset(&info, adapter.features()));
        if preset == Preset::Software && !options.narrow {
            wanted |= wgpu::Features::SHADER_INT64;
        }
        // Software adapters run products in registers.
        let cooperative_side = match preset {
            Preset::Software => None,
            Preset::Gpu => cooperative::side(&info, adapter.features(), &cooperative::listed(&adapter)).ok(),
        };
        if cooperative_side.is_some() {
            wanted |= cooperative::FEATURES;
        }
        let features = adapter.features() & wanted;
        if let (Preset::Software, Some(reason)) = (preset, adapter::misfit(&info, features)) {
            return Err(Error::NoAdapter {
                reason: format!("{} cannot run the software preset: {reason}", info.name),
                hint: "leave the choice of the preset to the engine".into(),
            });
        }
        if let (None, Some(reason)) = (options.preset, adapter::unsuited(&info, features)) {
            tracing::warn!("{}: {reason}; it runs the kernels for GPUs, which are slower here", info.name);
        }
        let experimental_features = match cooperative_side {
            // SAFETY: the one experimental feature is that of cooperative matrices. What is undefined about it is sizes
            // that the adapter does not list, which `cooperative::side` never gives, and loads outside of an operand;
            // shaders load from workgroup memory, at places that depend on constants alone.
            Some(_) => unsafe { wgpu::ExperimentalFeatures::enabled() },
            None => wgpu::ExperimentalFeatures::disabled(),
        };
        // Portable limits, except for sizes.
        let required = wgpu::Limits {
            max_buffer_size: offered.max_buffer_size,
            max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
            min_uniform_buffer_offset_alignment: offered.min_uniform_buffer_offset_alignment,
            max_compute_workgroup_storage_size: offered.max_compute_workgroup_storage_size,
            ..wgpu::Limits::default()
        };
        let opened = adapter
            .request_device(&wgpu::DeviceDescriptor {
                label: Some("wgr"),
                required_features: features,
                required_limits: required.clone(),
                memory_hints: wgpu::MemoryHints::MemoryUsage,
                experimental_features,
                ..Default::default()
            })
            .await;
        let (device, queue) = opened.map_err(|e| Error::NoAdapter {
            reason: format!("{} refused to open: {e}", info.name),
            hint: "name another one with `.adapter`; `wgr devices` lists them".into(),
        })?;
        let fault = Arc::new(Fault::default());
        let (errors, losses) = (fault.clone(), fault.clone());
        device.on_uncaptured_error(Arc::new(move |error| match error {
            wgpu::Error::OutOfMemory { .. } => errors.record(
                "out of device memory".into(),
                "use a smaller `.batch_size` or `.max_length`, or `.checkpointing` layer",
            ),
            other => errors.record(other.to_string(), "this is a fault of the engine or the driver; please report it"),
        }));
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                losses.record(
                    format!("the device was lost: {message}"),
                    "the driver reset the GPU; start again with `.resume`, on a smaller `.batch_size` if it repeats",
                );
            }
        });
        let binding_bytes = options.limits.map_or(u64::MAX, |limits| limits.binding_bytes);
        let poller = Poller::new(&device);
        Ok(Self {
            preset,
            device,
            queue,
            info,
            mode: options.mode,
            limits: Limits { binding_bytes: binding_bytes.min(required.max_storage_buffer_binding_size) },
            pipelines: Mutex::default(),
            pool: SharedPool::default(),
            poller,
            fault,
            tuning: Tuning::default(),
            cooperative_side,
            large_tiles: LARGE_TILES,
            loop_rounds: None,
        })
    }

    /// The driver's name for the adapter.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// Name and version of its driver.
    pub fn driver(&self) -> String {
        adapter::driver(&self.info)
    }

    /// The kernel family in use.
    pub fn preset(&self) -> Preset {
        self.preset
    }

    /// Whether its shaders keep the driver's checks.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether kernels load 64-bit words. The software preset does so if the adapter has them, since Mesa fetches one
    /// word at a time for every lane, whatever its size.
    pub fn loads_wide(&self) -> bool {
        self.device.features().contains(wgpu::Features::SHADER_INT64)
    }

    /// Whether shaders may compute in f16.
    pub fn computes_f16(&self) -> bool {
        self.device.features().contains(wgpu::Features::SHADER_F16)
    }

    /// The side of the cooperative matrices on which products of f16 operands run, where they do.
    pub fn cooperative_side(&self) -> Option<u32> {
        self.cooperative_side
    }

    /// Has products of f16 operands do without cooperative matrices from now on.
    pub fn without_cooperative_matrices(&mut self) {
        self.cooperative_side = None;
    }

    /// Bytes of workgroup memory that a shader may have.
    pub(crate) fn workgroup_bytes(&self) -> u32 {
        self.device.limits().max_compute_workgroup_storage_size
    }

    /// The number of large tiles from which the GPU preset computes a product in them.
    pub fn large_tiles(&self) -> u32 {
        self.large_tiles
    }

    /// Has products run in large tiles from another number of them on: all of them from zero on, for tests.
    pub fn set_large_tiles(&mut self, tiles: u32) {
        self.large_tiles = tiles;
    }

    /// Whether it computes on the processor.
    pub(crate) fn is_software(&self) -> bool {
        adapter::is_software(&self.info)
    }

    /// Rounds of all loops of an invocation together that it runs, where its driver then ends every loop.
    pub fn loop_rounds(&self) -> Option<u32> {
        self.loop_rounds
    }

    /// Refuses a kernel whose loops the driver would end.
    pub(super) fn check_rounds(&self, kernel: &Kernel, rounds: f64) -> Result<()> {
        match self.loop_rounds {
            Some(limit) if rounds > f64::from(limit) => {
                let problem = format!(
                    "its loops take {rounds} rounds, and {} ends them after {limit}: values would be wrong",
                    self.driver()
                );
                Err(Error::device(format!("recording {}", kernel.name()), problem, LOOP_HINT))
            }
            _ => Ok(()),
        }
    }

    /// Has kernels be refused whose loops take more than [`LOOP_ROUNDS`] from now on: the driver would end them.
    pub fn limit_loops(&mut self) {
        self.loop_rounds = Some(LOOP_ROUNDS);
    }

    /// The variant of an operation that it runs.
    pub fn variant(&self, operation: Operation) -> Variant {
        self.tuning.variant(operation, self.loads_wide())
    }

    /// Sets the variants that it runs from now on; operations that are not named run their first one.
    pub fn tune(&mut self, tuning: Tuning) {
        self.tuning = tuning;
    }

    /// Lanes per subgroup; meaningful if the smallest and the largest size agree, as the software preset requires.
    pub fn subgroup_size(&self) -> u32 {
        self.info.subgroup_min_size
    }

    /// The limits in force.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Bytes that the adapter can still allocate, if that can be known: for adapters that use the system's memory, the
    /// memory that the system has left. WebGPU does not reveal a card's own memory; there, the driver's refusal is
    /// reported.
    pub fn available_memory(&self) -> Option<u64> {
        let shared = matches!(self.info.device_type, wgpu::DeviceType::Cpu | wgpu::DeviceType::IntegratedGpu);
        let text = shared.then(|| std::fs::read_to_string("/proc/meminfo").ok()).flatten()?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib << 10)
    }

    /// Estimated operations after which a submit is cut, so that no driver watchdog fires: about a tenth of a second on
    /// the slowest adapters of its kind.
    pub(super) fn flops_per_submit(&self) -> f64 {
        match self.info.device_type {
            wgpu::DeviceType::DiscreteGpu => 2e11,
            wgpu::DeviceType::IntegratedGpu => 2e10,
            wgpu::DeviceType::VirtualGpu | wgpu::DeviceType::Cpu | wgpu::DeviceType::Other => 4e9,
        }
    }

    /// Whether passes can be timed on the device.
    pub fn has_timestamps(&self) -> bool {
        self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES)
    }

    /// The bytes held for each purpose.
    pub fn ledger(&self) -> Ledger {
        memory::ledger(&self.pool)
    }

    /// Returns the first fault that the driver reported since the last call, as an error.
    ///
    /// # Errors
    /// If there is one; `doing` says during which operation it was noticed.
    pub fn check(&self, doing: &str) -> Result<()> {
        match self.fault.0.lock().expect("nothing under this lock can panic").take() {
            None => Ok(()),
            Some((problem, hint)) => Err(Error::device(doing, problem, hint)),
        }
    }

    pub(super) fn allocate(&self, memory: Memory, label: &str, bytes: u64) -> Result<Pooled> {
        let pooled = memory::take(&self.pool, &self.device, memory, label, bytes, false)?;
        self.check(&format!("allocating {bytes} bytes for {label}"))?;
        Ok(pooled)
    }

    /// The pipeline of a kernel, compiled at its first use.
    ///
    /// # Errors
    /// If there is no such permutation or constant, a constant is not set, or the driver refuses the shader.
    pub(super) fn pipeline(&self, kernel: &Kernel) -> Result<Arc<Pipeline>> {
        let key = (kernel.identity(), kernel.features.clone(), kernel.constants.clone());
        let mut pipelines = self.pipelines.lock().expect("a panic under this lock is a bug that already ended the run");
        if let Some(pipeline) = pipelines.get(&key) {
            return Ok(pipeline.clone());
        }
        let pipeline = Arc::new(self.compile(kernel.program()?, kernel)?);
        pipelines.insert(key, pipeline.clone());
        Ok(pipeline)
    }

    fn compile(&self, program: &Program, kernel: &Kernel) -> Result<Pipeline> {
        let refused = |problem| Error::kernel(kernel.name(), problem);
        let check = program.contract.check(&kernel.constants).map_err(refused)?;
        // Browsers require the enable line and naga 30 refuses it, so it is not part of the shader file.
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(&program.name),
            source: wgpu::ShaderSource::Wgsl(program.source.clone()),
        };
        let trusted = self.mode == Mode::Trusted && matches!(kernel.source, Source::Engine(_));
        let module = if trusted {
            // SAFETY: without the driver's checks an index out of range is undefined behaviour. Only the engine's own
            // shaders come here, which the build validated. `Recorder::dispatch` compares the storage and the extent of
            // every tensor, and the requirements on parameters, with what the comments in the shader declare for these
            // very parameters; indices that are made of parameters and of the place in the grid stay within these
            // extents, and those that come from buffers are tested or clamped in the shader. Loops end whatever buffers
            // hold. The test suite runs every permutation in checked mode, against a twin.
            unsafe { self.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        } else {
            self.device.create_shader_module(descriptor)
        };
        let uniform = wgpu::BindGroupLayoutEntry {
            binding: 0,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Uniform,
                has_dynamic_offset: true,
                min_binding_size: None,
            },
            count: None,
        };
        let storage = program.contract.bindings.iter().zip(1..).map(|(declared, binding)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only: !declared.writable },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        });
        let entries: Vec<_> = std::iter::once(uniform).chain(storage).collect();
        let layout = self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(&program.name),
            entries: &entries,
        });
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&program.name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let constants: Vec<(&str, f64)> =
            kernel.constants.iter().map(|(name, value)| (*name, f64::from(*value))).collect();
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&program.name),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(&program.entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                zero_initialize_workgroup_memory: !trusted,
            },
            cache: None,
        });
        // A shader of the caller's may need something that the device lacks.
        self.check(&format!("compiling {}", program.name))?;
        Ok(Pipeline {
            name: kernel.name().to_owned(),
            features: program.features.to_vec(),
            pipeline,
            layout,
            check,
            _source: kernel.source.clone(),
        })
    }

    /// Carries out pending writes now, which frees the copies of their data that are kept until then. Returns when that
    /// is done, or at once in a browser, which cannot block.
    ///
    /// # Errors
    /// If the driver has failed since the last call that reported a failure.
    pub fn flush(&self, doing: &str) -> Result<()> {
        self.queue.submit([]);
        let polled = self.device.poll(wgpu::PollType::wait_indefinitely());
        self.check(doing)?;
        polled.map(|_| ()).map_err(|e| Error::device(doing, e.to_string(), ""))
    }

    /// Waits until everything submitted has run.
    ///
    /// # Errors
    /// If the driver has failed since the last call that reported a failure.
    pub async fn wait(&self, doing: &str) -> Result<()> {
        let (sender, receiver) = oneshot::channel();
        self.queue.on_submitted_work_done(move || {
            // This fails only if nobody waits any more.
            let _ = sender.send(());
        });
        self.polled(receiver, None, doing).await
    }

    /// Awaits a callback of the driver, which comes only while the device is polled: by the thread of
    /// [`Poller`](super::poller::Poller), or by the browser. It is due after a submission, or after all.
    pub(super) async fn polled<T>(
        &self,
        callback: oneshot::Receiver<T>,
        submission: Option<wgpu::SubmissionIndex>,
        doing: &str,
    ) -> Result<T> {
        self.poller.ask(submission);
        let answer = callback.await;
        self.check(doing)?;
        answer.map_err(|_| Error::device(doing, "the driver dropped the request", ""))
    }

    /// Loses the device on purpose, so that tests can see how a run reports it.
    #[doc(hidden)]
    pub fn lose(&self) {
        self.fault.record(
            "the device was lost: on request".into(),
            "the driver reset the GPU; start again with `.resume`, on a smaller `.batch_size` if it repeats",
        );
        self.device.destroy();
    }
}
