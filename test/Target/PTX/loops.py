#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Finds the key loops of a PTX kernel by its control flow, and checks what they hold.

A key loop is a loop that has matrix instructions, `mma.sync` or `wgmma`, and no loop inside. Given the kinds of a kernel's key loops in the order of
the program (F = FULL tiles, P = PARTIAL tiles):

  every loop   multiplies by mma.sync and reads by ldmatrix (16-bit types), or multiplies by wgmma; copies by cp.async,
               exponentiates by ex2.approx.ftz;
  wgmma        (`--wgmma`, all but EXACT loops): starts two products in its warpgroup's turn and waits for the older one; the
               other one is waited for behind the exponentials. Where warps have roles it copies nothing: it waits for what
               others have copied, and releases it
  FULL         compares only to branch (the loop's own condition; tiles that lie inside are copied apart; accumulators are rescaled where a
               maximum has moved), and has no select;
  L            FULL tiles of a list: of the tile that is copied ahead, it finds the place in the list, and whether there is one
  S            FULL tiles of a spec whose score itself selects: held to neither rule
  PARTIAL      has selects: the mask. (Otherwise the check of FULL loops would prove nothing.)
  EXACT        the loop that runs where the others' result is in doubt, over fewer keys at once: at most as many
               matrix instructions as a loop before it. Every kernel ends in one.

Nowhere in the kernel is local memory used. Prints one line for each loop and closes with `loops: ok`.
"""
import argparse
import re
import sys


def blocks_of(text):
    """Basic blocks in order: name -> (instructions, successors)."""
    body = text
    body = body[body.index("\n{") + 2:]
    blocks, order, name = {}, [], "entry"
    order.append(name)
    blocks[name] = []
    fresh = 0
    for line in re.split(r"[;\n]", re.sub(r"//[^\n]*", "", body)):
        line = line.strip()
        label = re.match(r"^(\$\w+):$", line)
        if label:
            name = label.group(1)
            order.append(name)
            blocks[name] = []
        elif line and not line.startswith((".reg", ".loc", "{", "}")) or line.startswith("{%"):
            blocks[name].append(line)
            if re.match(r"^(@!?%p\d+ )?bra", line):
                fresh += 1
                name = f"after{fresh}"
                order.append(name)
                blocks[name] = []
    successors = {}
    for i, name in enumerate(order):
        last = blocks[name][-1] if blocks[name] else ""
        branch = re.match(r"^(@!?%p\d+ )?bra(?:\.uni)?\s+(\$\w+)", last)
        following = [order[i + 1]] if i + 1 < len(order) else []
        if last.startswith("ret"):
            successors[name] = []
        elif branch:
            successors[name] = [branch.group(2)] + (following if branch.group(1) else [])
        else:
            successors[name] = following
    return order, blocks, successors


def innermost_loops(order, successors):
    """Sets of blocks: strongly connected components, with heads removed until nothing cycles inside."""
    def reachable(start, inside):
        seen, stack = set(), [s for s in successors[start] if s in inside]
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack += [s for s in successors[node] if s in inside]
        return seen

    def components(inside):
        result, done = [], set()
        for node in [n for n in order if n in inside]:
            if node in done:
                continue
            forward = reachable(node, inside)
            component = {n for n in forward if node in reachable(n, inside)}
            if node in component:
                done |= component
                result.append(component)
        return result

    loops, work = [], components(set(order))
    while work:
        loop = work.pop(0)
        head = min(loop, key=order.index)
        inner = components(loop - {head})
        if inner:
            work = inner + work
        else:
            loops.append(loop)
    return sorted(loops, key=lambda loop: min(order.index(n) for n in loop))


def decide_more(lines):
    """Whether a comparison, or what is made of several, guards or selects: all may branch, or be voted on."""
    combining = re.compile(r"^(?:(?:or|and|not|xor)\.pred|vote\.sync\.any\.pred)\s+(%p\d+)")
    predicates = {found[1] for line in lines if (found := re.search(r"\bsetp\.\S+\s+(%p\d+)", line))}
    users = []
    while True:
        users = [line for line in lines
                 if not re.match(r"setp\.", line) and any(re.search(re.escape(p) + r"\b", combining.sub("", line)) for p in predicates)]
        known = len(predicates)
        predicates |= {found[1] for line in users if (found := combining.match(line))}
        if len(predicates) == known:
            return any(not combining.match(line) and not re.match(r"@!?%p\d+ bra\b", line) for line in users)


def order_of_products(lines):
    """What is wrong with the order of starts, waits and exponentials of a key loop that has two products at once."""
    events = [event for line in lines for event, pattern in
              [("start", r"wgmma\.commit_group"), ("wait 1", r"wgmma\.wait_group\S* 1"), ("wait 0", r"wgmma\.wait_group\S* 0"),
               ("exp", r"ex2\.approx")] if re.search(pattern, line)]
    order = [event for i, event in enumerate(events) if i == 0 or event != events[i - 1] or event == "start"]
    expected = ["start", "start", "wait 1", "exp", "wait 0"]
    return [] if order == expected else [f"expected {', '.join(expected)}, found {', '.join(order)}"]


ROLES = ["mbarrier.try_wait.parity", "mbarrier.arrive.shared", r"bar.sync\s+%", r"bar.arrive\s+%"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ptx")
    parser.add_argument("--kinds", required=True, help="the key loops in order, such as PFP")
    parser.add_argument("--no-ldmatrix", action="store_true", help="f32: operands are read by plain loads")
    parser.add_argument("--wgmma", action="store_true", help="16-bit products by warpgroups, two at once")
    parser.add_argument("--kernel", type=int, default=0, help="which kernel of the file, from 0 on")
    arguments = parser.parse_args()
    text = re.split(r"\.entry\b", open(arguments.ptx).read())[1 + arguments.kernel]
    problems, has_roles = [], "setmaxnreg" in text
    if re.search(r"\.local\b", text):
        problems.append("local memory is used")
    order, blocks, successors = blocks_of(text)
    found = [[line for name in order if name in loop for line in blocks[name]]
             for loop in innermost_loops(order, successors)]
    found = [lines for lines in found if any(re.search(r"mma(_async)?\.sync", line) for line in lines)]
    if len(found) != len(arguments.kinds):
        problems.append(f"expected {len(arguments.kinds)} key loops, found {len(found)}")
    for number, (kind, lines) in enumerate(zip(arguments.kinds, found)):
        count = lambda pattern: sum(bool(re.search(pattern, line)) for line in lines)
        needed = ["ex2.approx.ftz"]
        if arguments.wgmma and kind != "E":
            needed += ["wgmma.mma_async.sync"] + (ROLES if has_roles else ["cp.async.c[ag]", "cp.async.commit_group", "fence.proxy.async"])
            if has_roles and count(r"cp\.async|\b(ld|st)\.|fence\.proxy"):
                problems.append(f"loop {number}: copies, loads, stores or fences of a role that computes")
            problems += [f"loop {number}: {problem}" for problem in order_of_products(lines)]
        else:
            needed += ["cp.async.c[ag]", "cp.async.commit_group", "mma.sync"] + ([] if arguments.no_ldmatrix else ["ldmatrix.sync"])
        for pattern in needed:
            if not count(pattern.replace(".", r"\.", 1)):
                problems.append(f"loop {number}: no {pattern}")
        compares, selects = count(r"\bsetp?\."), count(r"\bselp\.")
        print(f"loop {number}: {kind}, {len(lines)} instructions, {count('mma.sync')} mma, {compares} setp, {selects} selp")
        if kind == "F" and (not compares or decide_more(lines) or selects or count(r"\b(slct|set)\.")):
            problems.append(f"loop {number}: a FULL loop with {compares} comparisons and {selects} selects")
        if kind == "L" and (not compares or selects > 2):
            problems.append(f"loop {number}: a FULL loop of a list with {compares} comparisons and {selects} selects")
        products = [sum("mma" in line and ".sync" in line for line in loop) for loop in found]
        if kind == "E" and not arguments.wgmma and products[number] > max(products[:number], default=0):
            problems.append(f"loop {number}: an EXACT loop with {products[number]} matrix instructions")
        if kind == "P" and not selects:
            problems.append(f"loop {number}: a PARTIAL loop without a select")
    for problem in problems:
        print("FAILED: " + problem)
    if not problems:
        print("loops: ok")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
