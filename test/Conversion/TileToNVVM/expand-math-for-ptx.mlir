// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --expand-math-for-ptx | FileCheck %s
// Functions without an instruction, in terms of those that PTX has; what has one stays.

// CHECK-LABEL: func.func @exponentials
// CHECK: %[[T:.*]] = arith.mulf %[[X:.*]], %cst
// CHECK: math.exp2 %[[T]]
// CHECK: %[[LG:.*]] = llvm.call_intrinsic "llvm.nvvm.lg2.approx.ftz.f"(%[[X]])
// CHECK: %[[LN2:.*]] = arith.constant 0.693147182 : f32
// CHECK: arith.mulf %[[LG]], %[[LN2]]
// CHECK: llvm.call_intrinsic "llvm.nvvm.lg2.approx.ftz.f"(%[[X]])
// CHECK-NOT: math.{{exp |log}}
func.func @exponentials(%x: f32) -> (f32, f32, f32) {
  %0 = math.exp %x : f32
  %1 = math.log %x : f32
  %2 = math.log2 %x : f32
  return %0, %1, %2 : f32, f32, f32
}

// tanh(x) = x P(x^2) / Q(x^2), cut off at -1 and 1; NaN comes through.
// CHECK-LABEL: func.func @tanh
// CHECK: %[[SQUARE:.*]] = arith.mulf %[[X:.*]], %[[X]]
// CHECK: %[[Z:.*]] = arith.minnumf %[[SQUARE]]
// CHECK-COUNT-5: math.fma %{{.*}}, %[[Z]]
// CHECK: arith.mulf %[[X]]
// CHECK-COUNT-3: math.fma %{{.*}}, %[[Z]]
// CHECK: "llvm.nvvm.rcp.approx.ftz.f"
// CHECK: arith.maximumf
// CHECK: arith.minimumf
// CHECK-NOT: math.tanh
func.func @tanh(%x: f32) -> f32 {
  %0 = math.tanh %x : f32
  return %0 : f32
}

// The argument is reduced by 2 pi in three parts.
// CHECK-LABEL: func.func @waves
// CHECK: %[[TURNS:.*]] = math.roundeven
// CHECK: %[[HIGH:.*]] = math.fma %[[TURNS]], %{{.*}}, %{{.*}}
// CHECK: %[[MIDDLE:.*]] = math.fma %[[TURNS]], %{{.*}}, %[[HIGH]]
// CHECK: %[[LOW:.*]] = math.fma %[[TURNS]], %{{.*}}, %[[MIDDLE]]
// CHECK: llvm.call_intrinsic "llvm.nvvm.sin.approx.ftz.f"(%[[LOW]])
// CHECK: llvm.call_intrinsic "llvm.nvvm.cos.approx.ftz.f"
func.func @waves(%x: f32) -> (f32, f32) {
  %0 = math.sin %x : f32
  %1 = math.cos %x : f32
  return %0, %1 : f32, f32
}

// The logarithm and its product with the exponent are sums of two f32 numbers each: what the power of two of the first one
// lacks is added with the second one. A negative base: the sign of an odd integral exponent, NaN for others. 1 for exponent 0 and base 1.
// CHECK-LABEL: func.func @pow
// CHECK: math.absf
// CHECK: arith.bitcast
// CHECK-NOT: llvm.nvvm.lg2
// CHECK: "llvm.nvvm.rcp.approx.ftz.f"
// CHECK: %[[HIGH:.*]] = arith.mulf %{{.*}}, %arg1
// CHECK: %[[NEGATED:.*]] = arith.negf %[[HIGH]]
// CHECK: %[[LOST:.*]] = math.fma %{{.*}}, %arg1, %[[NEGATED]]
// CHECK: math.fma %{{.*}}, %arg1, %[[LOST]]
// CHECK: math.exp2 %[[HIGH]]
// CHECK: arith.constant 0x7FC00000 : f32
// CHECK: arith.cmpf olt
// CHECK: arith.select
// CHECK: arith.ori
// CHECK: arith.select
// CHECK-NOT: math.powf
func.func @pow(%x: f32, %y: f32) -> f32 {
  %0 = math.powf %x, %y : f32
  return %0 : f32
}

// The inverse of a number beyond 2^126 is 0 for PTX: a quarter of it is inverted. Not where a number of at most 1 is divided,
// nor by a number that cannot be so large.
// CHECK-LABEL: func.func @quotients
// CHECK-SAME: %[[X:.*]]: f32, %[[Y:.*]]: f32
// CHECK: %[[SIZE:.*]] = math.absf %[[Y]]
// CHECK: arith.cmpf ogt, %[[SIZE]]
// CHECK: %[[SCALE:.*]] = arith.select
// CHECK: %[[SCALED:.*]] = arith.mulf %[[Y]], %[[SCALE]]
// CHECK: %[[R:.*]] = llvm.call_intrinsic "llvm.nvvm.rcp.approx.ftz.f"(%[[SCALED]])
// CHECK: %[[XR:.*]] = arith.mulf %[[X]], %[[R]]
// CHECK: %[[ANY:.*]] = arith.mulf %[[XR]], %[[SCALE]]
// CHECK: llvm.call_intrinsic "llvm.nvvm.rsqrt.approx.ftz.f"
// CHECK: %[[INVERSE:.*]] = llvm.call_intrinsic "llvm.nvvm.rcp.approx.ftz.f"(%[[Y]])
// CHECK: %[[ONE:.*]] = arith.mulf %{{.*}}, %[[INVERSE]]
// CHECK: math.absf %[[Y]]
// CHECK-NOT: math.absf
// CHECK-NOT: arith.divf
// CHECK: return %[[ANY]], %{{.*}}, %[[ONE]]
func.func @quotients(%x: f32, %y: f32, %n: i32) -> (f32, f32, f32, f32, f32, f32) {
  %0 = arith.divf %x, %y : f32
  %1 = math.rsqrt %x : f32
  %one = arith.constant -1.0 : f32
  %2 = arith.divf %one, %y : f32
  %two = arith.constant 2.0 : f32
  %3 = arith.divf %two, %y : f32
  %4 = arith.divf %x, %two : f32
  %count = arith.sitofp %n : i32 to f32
  %5 = arith.divf %x, %count : f32
  return %0, %1, %2, %3, %4, %5 : f32, f32, f32, f32, f32, f32
}

// What PTX has an instruction for.
// CHECK-LABEL: func.func @kept
// CHECK-NEXT: math.exp2
// CHECK-NEXT: math.fma
// CHECK-NEXT: math.floor
// CHECK-NEXT: math.absf
// CHECK-NEXT: return
func.func @kept(%x: f32) -> (f32, f32, f32, f32) {
  %0 = math.exp2 %x : f32
  %1 = math.fma %x, %x, %x : f32
  %2 = math.floor %x : f32
  %3 = math.absf %x : f32
  return %0, %1, %2, %3 : f32, f32, f32, f32
}
