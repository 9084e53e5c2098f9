"""The pure core: how a checkpoint is asked, how its replies are read, when a judgement is done."""
