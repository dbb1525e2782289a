// Where an invocation is in its dispatch. `grid(n)` in the comment of an entry point is `gpu::grid`: n workgroups, folded
// into two dimensions where they are more than 65,535; this unfolds them.

/// Invocations of a workgroup in kernels that unfold their dispatch.
const WORKGROUP: u32 = 64u;

struct Invocation {
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    /// Place in the workgroup.
    @builtin(local_invocation_index) local: u32,
}

/// Number of the workgroup.
fn workgroup_of(invocation: Invocation) -> u32 {
    return invocation.workgroup.y * invocation.workgroups.x + invocation.workgroup.x;
}

/// Number of the invocation.
fn linear(invocation: Invocation) -> u32 {
    return workgroup_of(invocation) * WORKGROUP + invocation.local;
}

/// Number of the row where `lanes` invocations, which divide a workgroup, share one.
fn row_of(invocation: Invocation, lanes: u32) -> u32 {
    return workgroup_of(invocation) * (WORKGROUP / lanes) + invocation.local / lanes;
}
