"""The games that ALFWorld's own loader takes from a folder, as JSON; runs where alfworld is.

alfworld_loader.py FOLDER train|eval_in_distribution|eval_out_of_distribution
"""

import contextlib
import json
import os
import sys


def collected(folder, mode):
    from alfworld.agents.environment.alfred_tw_env import AlfredTWEnv

    release = os.path.join(folder, "json_2.1.1")
    paths = ("data_path", "eval_id_data_path", "eval_ood_data_path")
    splits = ("train", "valid_seen", "valid_unseen")
    dataset = {key: os.path.join(release, split) for key, split in zip(paths, splits, strict=True)}
    config = {
        "env": {"task_types": [1, 2, 3, 4, 5, 6], "goal_desc_human_anns_prob": 0},
        "dataset": {**dataset, "num_train_games": -1, "num_eval_games": -1},
    }
    files = AlfredTWEnv(config, train_eval=mode).game_files
    return sorted(os.path.relpath(os.path.dirname(file), release) for file in files)


if __name__ == "__main__":
    os.environ["ALFWORLD_DATA"] = sys.argv[1]
    with contextlib.redirect_stdout(sys.stderr):
        found = collected(*sys.argv[1:])
    sys.stdout.write(json.dumps(found) + "\n")
