"""Several replies in the making, one token further with each step; no threads, no waiting.

A conversation that begins or goes on is read alone into its own row, then takes its steps together with the others.
Nobody waits for the slowest: a finished reply leaves at once, and another may take its place before the next step.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling

from backend.engines.local.attention import use_fast_reading
from backend.engines.local.cache import KeyValues, Row, Window
from backend.engines.local.odds import digit_ids, digit_odds
from backend.engines.local.prompt import Prompter, frames_of
from backend.engines.local.vision import Gallery
from backend.errors import EngineError
from backend.types import Completion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from transformers import BaseImageProcessor, PreTrainedTokenizerBase, Qwen2_5_VLForConditionalGeneration

    from backend.engines.local.prompt import Prompt
    from backend.engines.local.vision import Picture
    from backend.types import Conversation

FLASH = "flash_attention_2"


@dataclass(slots=True, eq=False)
class Reply:
    """A reply in the making: `tokens` so far, and the log-probabilities of the digits at each.

    `limit` is how many tokens it may have; `kept` of the prompt's tokens were not read again; `said` marks those of the
    vocabulary that a repetition penalty is for.
    """

    conversation: Conversation
    prompt: Prompt
    row: Row
    limit: int
    kept: int
    started: float
    said: torch.Tensor
    tokens: list[int] = field(default_factory=list)
    digits: list[torch.Tensor] = field(default_factory=list)


if TYPE_CHECKING:
    Choose: TypeAlias = Callable[[Sequence[Reply], torch.Tensor], list[int]]


def greedy(_replies: Sequence[Reply], scores: torch.Tensor) -> list[int]:
    """The likeliest token of each reply; `scores` is [replies, vocabulary]."""
    chosen: list[int] = scores.argmax(-1).tolist()
    return chosen


class Batch:
    """The model and what it has read of up to `rows` conversations. For one thread, in inference mode."""

    def __init__(
        self,
        model: Qwen2_5_VLForConditionalGeneration,
        tokenizer: PreTrainedTokenizerBase,
        image_processor: BaseImageProcessor,
        *,
        rows: int,
        choose: Choose = greedy,
    ) -> None:
        """`choose` picks the next tokens; anything but `greedy` is for steering the model in tests and measurements."""
        text = model.config.get_text_config()
        self._model = model
        self._tokenizer = tokenizer
        self._prompter = Prompter(tokenizer, model)
        self._gallery = Gallery(image_processor, model)
        self._values = KeyValues()
        self._rows = [Row(index) for index in range(rows)]
        self._replies: list[Reply] = []
        self._choose = choose
        self._digit_ids = list(digit_ids(tokenizer))
        self._context: int = text.max_position_embeddings
        self._fast_reading = use_fast_reading(model)
        self._text = text
        self._attention: str = text._attn_implementation  # the library has no public name for it
        self._penalty: float = model.generation_config.repetition_penalty or 1.0
        self._ends = _ends(model.generation_config.eos_token_id)
        self._clock = count(1)

    def begin(self, conversation: Conversation, *, max_new_tokens: int, owner: int = 0) -> Reply:
        """Read what is new of a conversation and choose the reply's first token.

        `owner` names whoever asks: one that begins another conversation gives up the row of its last one.

        Raises:
            EngineError: the text holds image tokens, or the conversation outgrows the model's context.
        """
        started = time.perf_counter()
        pictures = self._gallery.show(frames_of(conversation))
        prompt = self._prompter.prompt(conversation, pictures)
        room = self._context - len(prompt.ids)
        if room < 1:
            raise EngineError(
                f"The conversation has {len(prompt.ids)} tokens, but the model reads at most {self._context}. "
                "Set MEMORY_WINDOW to keep fewer pictures."
            )
        row = self._row_for(prompt, owner)
        kept = row.keep_common(prompt)
        try:
            logits = self._read(row, prompt, kept, pictures)
        except BaseException:
            row.clear()  # it may hold half of it
            raise
        row.hold(prompt)
        row.owner, row.used = owner, next(self._clock)
        said = torch.zeros(logits.shape[-1], dtype=torch.bool).index_fill_(0, torch.tensor(prompt.ids), True)
        reply = Reply(conversation, prompt, row, min(max_new_tokens, room), kept, started, said.to(logits.device))
        self._extend([reply], logits)
        self._replies.append(reply)
        return reply

    def step(self) -> None:
        """One more token for every reply that is not finished."""
        going = sorted((one for one in self._replies if not self.finished(one)), key=lambda one: one.row.index)
        if not going:
            return
        first, last = going[0].row.index, going[-1].row.index + 1
        # Rows between two that go on come along, because leaving them out would mean copying the others.
        tokens = torch.zeros(last - first, 1, dtype=torch.long)
        places = torch.tensor([[len(row)] for row in self._rows[first:last]])
        positions = places.repeat(4, 1, 1)
        for reply in going:
            tokens[reply.row.index - first] = reply.tokens[-1]
            positions[1:, reply.row.index - first] = _next_position(reply)
        logits = self._forward(tokens, positions, Window(first, last, places))
        for reply in going:
            reply.row.append(reply.tokens[-1])
        self._extend(going, logits[[reply.row.index - first for reply in going]])

    def finished(self, reply: Reply) -> bool:
        """Whether a reply has ended by itself or at its limit."""
        return reply.tokens[-1] in self._ends or len(reply.tokens) >= reply.limit

    def completion(self, reply: Reply) -> Completion:
        """What came of a finished reply."""
        return Completion(
            text=self._tokenizer.decode(reply.tokens, skip_special_tokens=True),
            prompt_tokens=len(reply.prompt.ids),
            completion_tokens=len(reply.tokens),
            truncated=reply.tokens[-1] not in self._ends,
            cached_tokens=reply.kept,
            seconds=time.perf_counter() - reply.started,
            digits=digit_odds(self._tokenizer, reply.tokens, torch.stack(reply.digits).cpu()),
        )

    def remove(self, reply: Reply) -> None:
        """Let a reply go, finished or not; its row stays for whatever follows in its conversation."""
        self._replies.remove(reply)

    def forget(self) -> None:
        """Drop all replies and free all memory; after a failure the rows may hold half a step."""
        self._replies.clear()
        self._values.clear()
        for row in self._rows:
            row.clear()
        self._gallery.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _row_for(self, prompt: Prompt, owner: int) -> Row:
        """The row that holds most of this conversation, else the one that is missed least."""
        taken = {id(reply.row) for reply in self._replies}
        free = [row for row in self._rows if id(row) not in taken]

        def rank(row: Row) -> tuple[int, bool, bool, int, int]:
            return (row.common_pictures(prompt), row.owner == owner, row.abandoned, -row.used, -row.index)

        return max(free, key=rank)

    def _read(self, row: Row, prompt: Prompt, kept: int, pictures: Sequence[Picture]) -> torch.Tensor:
        """Compute the prompt's tokens from `kept` on; the logits after the last one, [1, vocabulary]."""
        unread = [picture.features for picture, span in zip(pictures, prompt.spans, strict=True) if span.start >= kept]
        images = {"image": BaseModelOutputWithPooling(pooler_output=tuple(unread))} if unread else {}
        ids = torch.tensor([prompt.ids[kept:]])
        places = torch.arange(kept, len(prompt.ids))[None]
        window = Window(row.index, row.index + 1, places)
        return self._forward(ids, prompt.positions[..., kept:], window, mm_encoder_outputs=images)

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor, window: Window, **inputs: object) -> torch.Tensor:
        device = self._model.device
        self._values.aim(window)
        mask = self._mask(window)
        logits: torch.Tensor = self._model(
            input_ids=ids.to(device),
            # Given ready-made, because the library would take all rows for equally long.
            attention_mask={"full_attention": None if mask is None else mask.to(device)},
            position_ids=positions.to(device),
            past_key_values=self._values,
            use_cache=True,
            logits_to_keep=1,
            **inputs,
        ).logits
        return logits[:, -1].float()

    def _mask(self, window: Window) -> torch.Tensor | None:
        """[rows, 1, new, length], true where a new token may look; None where the attention function knows by itself.

        FlashAttention takes no masks, and needs none but for rows of different lengths: those are left to torch's own.
        """
        masked = not (window.even or (self._fast_reading and window.behind_known))
        if self._attention == FLASH:
            masked = masked and window.places.shape[1] == 1
            self._text._attn_implementation = "sdpa" if masked else FLASH  # read by each layer's pass
        return torch.arange(window.length) <= window.places[:, None, :, None] if masked else None

    def _extend(self, replies: Sequence[Reply], logits: torch.Tensor) -> None:
        """Choose each reply's next token from its row of logits."""
        # The odds are the model's own, before a penalty: the penalty is a habit of decoding, not a belief.
        digits = logits[:, self._digit_ids] - logits.logsumexp(-1, keepdim=True)
        chosen = self._choose(replies, self._penalised(replies, logits))
        for reply, token, odds in zip(replies, chosen, digits, strict=True):
            reply.tokens.append(token)
            reply.digits.append(odds)
            reply.said[token] = True

    def _penalised(self, replies: Sequence[Reply], logits: torch.Tensor) -> torch.Tensor:
        """The repetition penalty, over the whole prompt and what was generated, as the library applies it."""
        if self._penalty == 1.0:
            return logits
        penalised = torch.where(logits < 0, logits * self._penalty, logits / self._penalty)
        return torch.where(torch.stack([reply.said for reply in replies]), penalised, logits)


def _next_position(reply: Reply) -> int:
    """In time, row and column, of the token chosen last; pictures make it differ from the place in the text."""
    return int(reply.prompt.positions[1, 0, -1]) + len(reply.tokens)


def _ends(eos: int | list[int]) -> frozenset[int]:
    return frozenset(eos if isinstance(eos, list) else [eos])
