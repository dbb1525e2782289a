// Dispatches larger than 65,535 workgroups are folded into two dimensions; this unfolds them.
fn linear(workgroup: vec3<u32>, workgroups: vec3<u32>) -> u32 {
    return workgroup.y * workgroups.x + workgroup.x;
}
