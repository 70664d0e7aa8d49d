from __future__ import annotations

import logging

from compressor_lib.support.progress import BestTrial, Progress, log_progress, progress_in

BEST = BestTrial("block_5_add->head", 112_554, 0.9832, 0.9129)


def test_progress_is_formatted_as_one_line():
    assert str(Progress("image", 64)) == "image 64"
    assert str(Progress("epoch", 2.5, 18)) == "epoch 2/18"
    assert str(Progress("trial", 3, 15, "failed: out of luck")) == "trial 3/15: failed: out of luck"
    assert str(Progress("trial", 3, 15, "a->b scores 0.5", BEST)) == (
        "trial 3/15: a->b scores 0.5; best so far block_5_add->head (112,554 parameters, accuracy 98.3 %, score 0.9129)"
    )


def test_progress_is_in_the_record_and_updates_are_debug(caplog):
    logger = logging.getLogger("compressor_lib.any")
    with caplog.at_level(logging.INFO, logger.name):
        log_progress(logger, Progress("epoch", 1))
        log_progress(logger, Progress("epoch", 1, detail="done"))
        logger.info("else")
    assert [progress_in(record) for record in caplog.records] == [Progress("epoch", 1, detail="done"), None]
    assert caplog.records[0].funcName == "test_progress_is_in_the_record_and_updates_are_debug"


def test_accuracy_of_the_best_trial_has_count_and_interval():
    best = BestTrial("a->b", 1000, 59 / 60, 0.9, images=60)
    assert str(best) == "a->b (1,000 parameters, accuracy 98.3 % (59 of 60, 91.1 to 99.7 %), score 0.9000)"
