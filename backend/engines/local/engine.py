"""The engine itself: one greedy reply at a time, computing only what the last conversation did not already hold."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling

from backend.engines.local.cache import PrefixCache
from backend.engines.local.odds import DigitRecorder, digit_ids, digit_odds
from backend.engines.local.prompt import Prompter, frames_of
from backend.engines.local.vision import Gallery
from backend.errors import EngineError
from backend.types import Completion

if TYPE_CHECKING:
    from transformers import BaseImageProcessor, PreTrainedTokenizerBase, Qwen2_5_VLForConditionalGeneration

    from backend.engines.local.prompt import Prompt
    from backend.engines.local.vision import Picture
    from backend.types import Conversation


class LocalEngine:
    """Implements `reasoning.judge.Engine`. Stateless for callers: any conversation may follow any other.

    Calls from several threads take turns; there is one model and one cache.
    """

    def __init__(
        self,
        model: Qwen2_5_VLForConditionalGeneration,
        tokenizer: PreTrainedTokenizerBase,
        image_processor: BaseImageProcessor,
    ) -> None:
        """A loaded `Qwen2_5_VLForConditionalGeneration` with its tokenizer and image processor."""
        self._model = model
        self._tokenizer = tokenizer
        self._prompter = Prompter(tokenizer, model)
        self._gallery = Gallery(image_processor, model)
        self._cache = PrefixCache(model.config.get_text_config())
        self._digit_ids = digit_ids(tokenizer)
        self._context: int = model.config.get_text_config().max_position_embeddings
        self._ends = _ends(model.generation_config.eos_token_id)
        self._turn = threading.Lock()

    def complete(self, conversation: Conversation, *, max_new_tokens: int) -> Completion:
        """The assistant's next message.

        Raises:
            EngineError: the text holds image tokens, the conversation outgrows the model's context, or the GPU's memory
                does not hold it.
        """
        with self._turn, torch.inference_mode():
            try:
                return self._complete(conversation, max_new_tokens)
            except torch.OutOfMemoryError as error:
                self._forget()
                raise EngineError(
                    f"Out of GPU memory in a conversation with {len(frames_of(conversation))} pictures. Use a larger "
                    "GPU, QUANTIZATION=8bit or 4bit, or MEMORY_WINDOW=1."
                ) from error
            except BaseException:
                self._forget()
                raise

    def _complete(self, conversation: Conversation, max_new_tokens: int) -> Completion:
        started = time.perf_counter()
        pictures = self._gallery.show(frames_of(conversation))
        prompt = self._prompter.prompt(conversation, pictures)
        room = self._context - len(prompt.ids)
        if room < 1:
            raise EngineError(
                f"The conversation has {len(prompt.ids)} tokens, but the model reads at most {self._context}. "
                "Set MEMORY_WINDOW to keep fewer pictures."
            )
        kept = self._cache.keep_common(prompt)
        with DigitRecorder(self._model, self._digit_ids) as recorder:
            generated = self._generate(prompt, pictures, kept, min(max_new_tokens, room))
        self._cache.remember(prompt, generated)
        return Completion(
            text=self._tokenizer.decode(generated, skip_special_tokens=True),
            prompt_tokens=len(prompt.ids),
            completion_tokens=len(generated),
            truncated=generated[-1] not in self._ends,
            cached_tokens=kept,
            seconds=time.perf_counter() - started,
            digits=digit_odds(self._tokenizer, generated, recorder.log_probabilities()),
        )

    def _generate(self, prompt: Prompt, pictures: tuple[Picture, ...], kept: int, limit: int) -> list[int]:
        """The new token ids, the end token included; of the prompt only what follows `kept` tokens is computed."""
        device = self._model.device
        ids = torch.tensor([prompt.ids], device=device)
        unread = [picture.features for picture, span in zip(pictures, prompt.spans, strict=True) if span.start >= kept]
        images = {"image": BaseModelOutputWithPooling(pooler_output=tuple(unread))} if unread else {}
        sequence = self._model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            position_ids=prompt.positions.to(device),
            past_key_values=self._cache.values,
            mm_encoder_outputs=images,
            do_sample=False,
            max_new_tokens=limit,
        )
        generated: list[int] = sequence[0, len(prompt.ids) :].tolist()
        return generated

    def _forget(self) -> None:
        """After a failure the cache may hold half a step."""
        self._cache.clear()
        self._gallery.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _ends(eos: int | list[int]) -> frozenset[int]:
    return frozenset(eos if isinstance(eos, list) else [eos])
