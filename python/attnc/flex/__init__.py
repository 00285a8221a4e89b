# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""FlexAttention's interface: masks and scores as Python functions, traced into specs. See docs/FlexAttention.md."""
from ._attention import (AuxOutput, AuxRequest, BlockMask, and_masks, create_block_mask, flex_attention, noop_mask,
                         or_masks)
from ._trace import from_flex

__all__ = ["AuxOutput", "AuxRequest", "BlockMask", "and_masks", "create_block_mask", "flex_attention", "from_flex", "noop_mask",
           "or_masks"]
