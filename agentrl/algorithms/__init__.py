"""The algorithms by name, one file per paper; a record is imported when it is asked for."""

from __future__ import annotations

import importlib

from agentrl.algorithms.base import Algorithm
from agentrl.errors import ConfigError, suggestion

NAMES = {
    "active_vln": "active_vln:ACTIVE_VLN",
    "air_quality": "air_quality:AIR_QUALITY",
    "alpha_dpg": "alpha_dpg:ALPHA_DPG",
    "care": "care:CARE",
    "clinical_crpo": "clinical_crpo:CLINICAL_CRPO",
    "co_grpo": "co_grpo:CO_GRPO",
    "codistill": "codistill:CODISTILL",
    "codistill_large": "codistill:CODISTILL_LARGE",
    "corpo": "corpo:CORPO",
    "countdown_compare": "countdown_compare:COUNTDOWN_COMPARE",
    "countdown_compare_grpo": "countdown_compare:COUNTDOWN_COMPARE_GRPO",
    "countdown_compare_ppo": "countdown_compare:COUNTDOWN_COMPARE_PPO",
    "dagrpo": "dagrpo:DAGRPO",
    "dapo": "dapo:DAPO",
    "dcpo": "dcpo:DCPO",
    "dgpo": "dgpo:DGPO",
    "dhpo": "dhpo:DHPO",
    "dhpo_entropy": "dhpo:DHPO_ENTROPY",
    "disco": "disco:DISCO",
    "disco_b": "disco:DISCO_B",
    "dr_grpo": "dr_grpo:DR_GRPO",
    "drpo": "drpo:DRPO",
    "ds_grpo": "ds_grpo:DS_GRPO",
    "egpo": "egpo:EGPO",
    "etr": "etr:ETR",
    "expert_single_turn": "expert_single_turn:EXPERT_SINGLE_TURN",
    "expo": "expo:EXPO",
    "flow_grpo": "flow_grpo:FLOW_GRPO",
    "flow_grpo_release": "flow_grpo:FLOW_GRPO_RELEASE",
    "format_length": "format_length:FORMAT_LENGTH",
    "game_rl": "game_rl:GAME_RL",
    "gcc": "gcc:GCC",
    "gdpo": "gdpo:GDPO",
    "gdpo_verl": "gdpo:GDPO_VERL",
    "gigpo": "gigpo:GIGPO",
    "grit": "grit:GRIT",
    "group_robust_dpo": "group_robust_dpo:GROUP_ROBUST_DPO",
    "grpo": "grpo:GRPO",
    "grpo_guard": "grpo_guard:GRPO_GUARD",
    "grpo_lambda_length": "grpo_lambda_length:GRPO_LAMBDA_LENGTH",
    "gspo": "gspo:GSPO",
    "gtpo": "gtpo:GTPO",
    "gtpo_release": "gtpo:GTPO_RELEASE",
    "guide": "guide:GUIDE",
    "igrpo": "igrpo:IGRPO",
    "knapsack_rl": "knapsack_rl:KNAPSACK_RL",
    "m_grpo": "m_grpo:M_GRPO",
    "m_grpo_release": "m_grpo:M_GRPO_RELEASE",
    "m_grpo_weight": "m_grpo:M_GRPO_WEIGHT",
    "mixed_reward_bootstrap": "mixed_reward_bootstrap:MIXED_REWARD_BOOTSTRAP",
    "multi_objective_safety": "multi_objective_safety:MULTI_OBJECTIVE_SAFETY",
    "multi_reward_debias": "multi_reward_debias:MULTI_REWARD_DEBIAS",
    "ngrpo": "ngrpo:NGRPO",
    "p_grpo": "p_grpo:P_GRPO",
    "papo": "papo:PAPO",
    "pc_grpo": "pc_grpo:PC_GRPO",
    "ppo": "ppo:PPO",
    "practitioner_guide": "practitioner_guide:PRACTITIONER_GUIDE",
    "practitioner_guide_grpo": "practitioner_guide:PRACTITIONER_GUIDE_GRPO",
    "practitioner_guide_rloo": "practitioner_guide:PRACTITIONER_GUIDE_RLOO",
    "pref_grpo": "pref_grpo:PREF_GRPO",
    "rank_grpo": "rank_grpo:RANK_GRPO",
    "rank_grpo_items": "rank_grpo:RANK_GRPO_ITEMS",
    "reg_grpo": "reg_grpo:REG_GRPO",
    "reinforce": "reinforce:REINFORCE",
    "rest_rl": "rest_rl:REST_RL",
    "rgr_grpo": "rgr_grpo:RGR_GRPO",
    "rloo": "rloo:RLOO",
    "sage": "sage:SAGE",
    "sage_light": "sage_light:SAGE_LIGHT",
    "scaf": "scaf:SCAF",
    "scaf_release": "scaf:SCAF_RELEASE",
    "seed_grpo": "seed_grpo:SEED_GRPO",
    "serial_group": "serial_group:SERIAL_GROUP",
    "sparql_refine": "sparql_refine:SPARQL_REFINE",
    "spine": "spine:SPINE",
    "spine_otsu": "spine:SPINE_OTSU",
    "spo_segment": "spo_segment:SPO_SEGMENT",
    "spo_segment_tree": "spo_segment_tree:SPO_SEGMENT_TREE",
    "spo_single_stream": "spo_single_stream:SPO_SINGLE_STREAM",
    "style_mix": "style_mix:STYLE_MIX",
    "syn_grpo": "syn_grpo:SYN_GRPO",
    "tcm_grpo": "tcm_grpo:TCM_GRPO",
    "text2vis": "text2vis:TEXT2VIS",
    "text2vis_release": "text2vis:TEXT2VIS_RELEASE",
    "ton": "ton:TON",
    "train_long": "train_long:TRAIN_LONG",
    "training_free_grpo": "training_free_grpo:TRAINING_FREE_GRPO",
    "v0_value": "v0_value:V0_VALUE",
    "vade": "vade:VADE",
    "vgpo": "vgpo:VGPO",
    "vspo": "vspo:VSPO",
    "xrpo": "xrpo:XRPO",
}


def algorithm(name: str) -> Algorithm:
    """The record of a name; `module:NAME` takes one from anywhere.

    Raises:
        ConfigError: unknown name, with the closest known one.
    """
    if name not in NAMES and ":" not in name:
        raise ConfigError(
            f"unknown algorithm {name!r}: {suggestion(name, list(NAMES))}", "algorithm"
        )
    module, _, attribute = NAMES.get(name, name).partition(":")
    path = f"agentrl.algorithms.{module}" if name in NAMES else module
    try:
        record = getattr(importlib.import_module(path), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"cannot import the algorithm {name!r}: {error}", "algorithm") from error
    if not isinstance(record, Algorithm):
        raise ConfigError(f"{name!r} is not an Algorithm but {type(record).__name__}", "algorithm")
    return record
