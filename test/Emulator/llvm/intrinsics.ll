; SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
;
; NVVM intrinsics as attnc emits them; llc makes test/Emulator/ptx/llvm.ptx of this. LLVM's PTX is
; typeless (floats live in %r registers), which is what this fixture is for.
target triple = "nvptx64-nvidia-cuda"
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare void @llvm.nvvm.barrier.cta.sync.aligned.all(i32)
declare float @llvm.nvvm.ex2.approx.ftz.f(float)
declare i32 @llvm.nvvm.shfl.sync.bfly.i32(i32,i32,i32,i32)
declare {float,float,float,float} @llvm.nvvm.mma.m16n8k16.row.col.bf16(i32,i32,i32,i32,i32,i32,float,float,float,float)
declare {i32,i32,i32,i32} @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.b16.p3(ptr addrspace(3))
declare void @llvm.nvvm.cp.async.cg.shared.global.16.s(ptr addrspace(3), ptr addrspace(1), i32)
declare void @llvm.nvvm.cp.async.commit.group()
declare void @llvm.nvvm.cp.async.wait.group(i32)
@smem = external addrspace(3) global [0 x i8], align 16
define ptx_kernel void @k(ptr addrspace(1) noalias readonly %a, ptr addrspace(1) %o, i32 %n, float %s) {
entry:
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %t64 = zext i32 %t to i64
  %off = mul i32 %t, 16
  %ps = getelementptr i8, ptr addrspace(3) @smem, i32 %off
  %off64 = zext i32 %off to i64
  %pg = getelementptr i8, ptr addrspace(1) %a, i64 %off64
  %inb = icmp slt i32 %t, %n
  %sz = select i1 %inb, i32 16, i32 0
  call void @llvm.nvvm.cp.async.cg.shared.global.16.s(ptr addrspace(3) %ps, ptr addrspace(1) %pg, i32 %sz)
  call void @llvm.nvvm.cp.async.commit.group()
  call void @llvm.nvvm.cp.async.wait.group(i32 0)
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  %f = call {i32,i32,i32,i32} @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.b16.p3(ptr addrspace(3) %ps)
  %f0 = extractvalue {i32,i32,i32,i32} %f, 0
  %f1 = extractvalue {i32,i32,i32,i32} %f, 1
  %f2 = extractvalue {i32,i32,i32,i32} %f, 2
  %f3 = extractvalue {i32,i32,i32,i32} %f, 3
  br label %loop
loop:
  %i = phi i32 [0,%entry],[%i1,%loop]
  %acc = phi <2 x float> [zeroinitializer,%entry],[%acc1,%loop]
  %r = call {float,float,float,float} @llvm.nvvm.mma.m16n8k16.row.col.bf16(i32 %f0,i32 %f1,i32 %f2,i32 %f3,i32 %f0,i32 %f1,float 0.0,float 0.0,float 0.0,float 0.0)
  %r0 = extractvalue {float,float,float,float} %r, 0
  %r1 = extractvalue {float,float,float,float} %r, 1
  %m = fmul float %r0, %s
  %e = call float @llvm.nvvm.ex2.approx.ftz.f(float %m)
  %v0 = insertelement <2 x float> poison, float %e, i32 0
  %v1 = insertelement <2 x float> %v0, float %r1, i32 1
  %acc1 = fadd <2 x float> %acc, %v1
  %i1 = add i32 %i, 1
  %c = icmp slt i32 %i1, %n
  br i1 %c, label %loop, label %done
done:
  %b = fptrunc <2 x float> %acc1 to <2 x bfloat>
  %q = getelementptr <2 x bfloat>, ptr addrspace(1) %o, i64 %t64
  store <2 x bfloat> %b, ptr addrspace(1) %q
  ret void
}
