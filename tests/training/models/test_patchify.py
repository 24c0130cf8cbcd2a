import torch

from amr_edge.training.models.patchify import patchify, token_present, unpatchify


def test_unpatchify_undoes_patchify() -> None:
    body = torch.randn(2, 12, 5, 3)
    assert torch.equal(unpatchify(patchify(body, 4), 4, 5), body)


def test_token_t_v_holds_the_frames_of_one_joint_in_order() -> None:
    body = torch.arange(2 * 8 * 3 * 2, dtype=torch.float32).reshape(2, 8, 3, 2)
    token = patchify(body, 4)[1, 1 * 3 + 2]  # second patch-time, third joint
    assert torch.equal(token, body[1, 4:8, 2].reshape(-1))


def test_a_token_with_one_unseen_frame_does_not_exist() -> None:
    present = torch.ones(1, 8, 3, dtype=torch.bool)
    present[0, 5, 1] = False
    assert token_present(present, 4).tolist() == [[True, True, True, True, False, True]]
