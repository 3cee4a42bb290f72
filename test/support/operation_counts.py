"""How many operations of torch a training step calls."""

from torch.utils._python_dispatch import TorchDispatchMode


class _Counter(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def step_operations(model, batch):
    """Operations of loss and gradients."""
    model.zero_grad()
    with _Counter() as counter:
        model(**batch)[0].backward()
    return counter.count


def repeated(batch, times):
    """Each utterance ``times`` times, in one batch."""
    return {
        name: tensor.repeat(times, *[1] * (tensor.dim() - 1))
        for name, tensor in batch.items()
    }
