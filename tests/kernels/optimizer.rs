use wgr::gpu::{Dtype, Gpu, Layout, Mode, Recording, Tensor};
use wgr::kernels::adamw::Step;
use wgr::optimizer::{AdamW, AdamWConfig, GradNorm, Parameter};
use wgr::reference;

use crate::harness::*;

/// Rows and columns; the first two are sharded under small bindings, their copies elsewhere; the second has several
/// slots of partial sums.
const SHAPES: [(usize, usize); 3] = [(150, 37), (101, 93), (1, 11)];
const COPIES: [Option<Dtype>; 3] = [Some(Dtype::Bf16), Some(Dtype::F16), None];
const CONFIG: AdamWConfig = AdamWConfig { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.1, max_grad_norm: 1.0 };

fn weights() -> Vec<Vec<f32>> {
    (0..).zip(SHAPES).map(|(i, (rows, columns))| random(rows * columns, i)).collect()
}

/// Small gradients at every third step, which are not clipped.
fn gradients(step: u64) -> Vec<Vec<f32>> {
    let scale = if step % 3 == 2 { 1e-3 } else { 0.5 };
    let random = |i: u64, len: usize| random(len, 100 * (step + 1) + i).iter().map(|g| scale * g).collect();
    (0..).zip(SHAPES).map(|(i, (rows, columns))| random(i, rows * columns)).collect()
}

fn parameters(gpu: &Gpu) -> Vec<Parameter> {
    // A vector is a single row without padding.
    let tensor = |rows, columns, values: &[f32], dtype| match rows {
        1 => activation(gpu, Layout::plain(columns), values, dtype),
        _ => parameter(gpu, Layout::plain(rows), Layout::plain(columns), values, dtype),
    };
    weights()
        .iter()
        .zip(SHAPES.into_iter().zip(COPIES))
        .map(|(values, ((rows, columns), copy))| Parameter {
            name: format!("{rows} x {columns}"),
            decay: rows > 1,
            weight: tensor(rows, columns, values, Dtype::F32),
            compute: copy.map(|dtype| tensor(rows, columns, values, dtype)),
            gradient: tensor(rows, columns, &vec![0.0; values.len()], Dtype::F32),
        })
        .collect()
}

fn worst(norm: &GradNorm) -> Option<&String> {
    norm.worst.as_ref().map(|worst| &worst.parameter)
}

fn grad_norm(gpu: &Gpu, optimizer: &AdamW) -> GradNorm {
    pollster::block_on(optimizer.grad_norm(gpu)).unwrap()
}

fn everything(gpu: &Gpu, optimizer: &AdamW) -> Vec<Vec<f32>> {
    let weights = optimizer.parameters().iter().flat_map(|p| std::iter::once(&p.weight).chain(&p.compute));
    let moments = optimizer.moments().iter().flatten().flat_map(|m| [&m.first, &m.second]);
    weights.chain(moments).map(|tensor: &Tensor| read(gpu, tensor)).collect()
}

#[test]
fn ten_steps_of_adamw_agree() {
    everywhere(|gpu| {
        let optimizer = AdamW::new(gpu, parameters(gpu), CONFIG).unwrap();
        let mut recording = Recording::new();
        optimizer.record(&mut recording.recorder(gpu)).unwrap();
        let mut expected: Vec<Vec<f64>> = weights().iter().map(|w| wide(w)).collect();
        let zeros: Vec<Vec<f64>> = expected.iter().map(|w| vec![0.0; w.len()]).collect();
        let (mut first, mut second) = (zeros.clone(), zeros);
        for count in 0..10 {
            let gradients = gradients(count);
            for (parameter, gradient) in optimizer.parameters().iter().zip(&gradients) {
                parameter.gradient.write(gpu, gradient).unwrap();
            }
            let learning_rate = 1e-2 / (count + 1) as f64;
            optimizer.begin_step(gpu, count as usize, learning_rate);
            replay(gpu, &mut recording);

            let wide: Vec<Vec<f64>> = gradients.iter().map(|g| wide(g)).collect();
            let (norm, coefficient) =
                reference::global_norm::forward(&wide.iter().map(Vec::as_slice).collect::<Vec<_>>(), 1.0);
            let actual = grad_norm(gpu, &optimizer);
            assert_close("grad_norm", &[actual.norm], &[norm], F32);
            assert_eq!((actual.finite, actual.worst), (true, None));
            let AdamWConfig { betas, eps, weight_decay, max_grad_norm } = CONFIG;
            let step = Step {
                learning_rate,
                weight_decay,
                betas,
                eps,
                max_norm: max_grad_norm,
                loss_scale: 1.0,
                count: count + 1,
            };
            for (i, gradient) in wide.iter().enumerate() {
                let clipped: Vec<f64> = gradient.iter().map(|g| g * coefficient).collect();
                let decays = optimizer.parameters()[i].decay;
                reference::adamw::update(&step, decays, &clipped, &mut expected[i], &mut first[i], &mut second[i]);
            }
        }
        for (i, (parameter, moments)) in
            optimizer.parameters().iter().zip(optimizer.moments().iter().flatten()).enumerate()
        {
            let weight = read(gpu, &parameter.weight);
            assert_close(&format!("weight {}", parameter.name), &weight, &expected[i], F32);
            assert_close(&format!("first moment {}", parameter.name), &read(gpu, &moments.first), &first[i], F32);
            assert_close(&format!("second moment {}", parameter.name), &read(gpu, &moments.second), &second[i], F32);
            if let Some(copy) = &parameter.compute {
                assert_eq!(read(gpu, copy), stored(&weight, copy.dtype()), "the copy of {}", parameter.name);
            }
        }
    });
}

#[test]
fn a_gradient_that_is_not_finite_is_named_and_changes_nothing() {
    everywhere(|gpu| {
        for (broken, value) in [(0, f32::NAN), (1, f32::INFINITY), (2, f32::NEG_INFINITY)] {
            let optimizer = AdamW::new(gpu, parameters(gpu), CONFIG).unwrap();
            let mut recording = Recording::new();
            optimizer.record(&mut recording.recorder(gpu)).unwrap();
            let mut gradients = gradients(0);
            // The last value, where it is easiest to miss.
            *gradients[broken].last_mut().unwrap() = value;
            for (parameter, gradient) in optimizer.parameters().iter().zip(&gradients) {
                parameter.gradient.write(gpu, gradient).unwrap();
            }
            let before = everything(gpu, &optimizer);
            optimizer.begin_step(gpu, 0, 1e-2);
            replay(gpu, &mut recording);
            let norm = grad_norm(gpu, &optimizer);
            assert_eq!((norm.finite, worst(&norm)), (false, Some(&optimizer.parameters()[broken].name)));
            assert_eq!(everything(gpu, &optimizer), before);
        }
    });
}

#[test]
fn a_norm_that_overflows_names_the_largest_gradient() {
    let gpu = open(wgr::gpu::Mode::Checked, None);
    let optimizer = AdamW::new(&gpu, parameters(&gpu), CONFIG).unwrap();
    let mut recording = Recording::new();
    optimizer.record(&mut recording.recorder(&gpu)).unwrap();
    // Each sum of squares is finite, their total is not.
    for (parameter, value) in optimizer.parameters().iter().zip([1.5e19, 1.6e19, 1.0]) {
        let mut gradient = vec![0.0; parameter.gradient.rows().len() * parameter.gradient.columns().len()];
        gradient[0] = value;
        parameter.gradient.write(&gpu, &gradient).unwrap();
    }
    optimizer.begin_step(&gpu, 0, 1e-2);
    replay(&gpu, &mut recording);
    let norm = grad_norm(&gpu, &optimizer);
    assert_eq!((norm.finite, worst(&norm)), (false, Some(&optimizer.parameters()[1].name)));
}

#[test]
fn without_a_limit_large_gradients_are_not_clipped() {
    let gpu = open(wgr::gpu::Mode::Checked, None);
    for max_grad_norm in [0.0, f64::INFINITY] {
        let config = AdamWConfig { max_grad_norm, ..CONFIG };
        let optimizer = AdamW::new(&gpu, parameters(&gpu), config).unwrap();
        let mut recording = Recording::new();
        optimizer.record(&mut recording.recorder(&gpu)).unwrap();
        let gradient = random(11, 3);
        optimizer.parameters()[2].gradient.write(&gpu, &gradient).unwrap();
        optimizer.begin_step(&gpu, 0, 1e-2);
        replay(&gpu, &mut recording);
        let expected: Vec<f64> = gradient.iter().map(|g| f64::from(*g) * 0.1).collect();
        assert_close("first moment", &read(&gpu, &optimizer.moments()[2].as_ref().unwrap().first), &expected, F32);
    }
}

#[test]
fn scaled_gradients_give_the_same_norm_and_update() {
    let gpu = open(Mode::Checked, None);
    let after = |scale: f32| {
        let optimizer = AdamW::new(&gpu, parameters(&gpu), CONFIG).unwrap();
        for (parameter, gradient) in optimizer.parameters().iter().zip(gradients(0)) {
            parameter.gradient.write(&gpu, &gradient.iter().map(|g| scale * g).collect::<Vec<_>>()).unwrap();
        }
        let mut recording = Recording::new();
        optimizer.record(&mut recording.recorder(&gpu)).unwrap();
        optimizer.begin_scaled_step(&gpu, 0, 1e-2, scale.into());
        replay(&gpu, &mut recording);
        (grad_norm(&gpu, &optimizer), everything(&gpu, &optimizer))
    };
    // A power of two rounds nothing.
    assert_eq!(after(65536.0), after(1.0));
}
