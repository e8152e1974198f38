"""Small networks of Hugging Face transformers and of MONAI, random weights, dropout on, and what they take in."""

import importlib

import torch

CLASSES, WORDS = 3, 40
IMAGES, SENTENCES = (1, 16, 16), (7,)


def resnet(t):
    config = t.ResNetConfig(
        num_channels=1, embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=CLASSES
    )
    return t.ResNetForImageClassification(config)


def vit(t):
    config = t.ViTConfig(
        image_size=16, patch_size=8, num_channels=1, num_labels=CLASSES, hidden_size=16, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=32, hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2,
    )  # fmt: skip
    return t.ViTForImageClassification(config)


def convnext(t):
    config = t.ConvNextConfig(
        num_channels=1,
        patch_size=2,
        hidden_sizes=[8, 16],
        depths=[1, 2],
        num_stages=2,
        drop_path_rate=0.5,
        num_labels=CLASSES,
    )
    return t.ConvNextForImageClassification(config)


def swin(t):
    config = t.SwinConfig(
        image_size=16, patch_size=2, num_channels=1, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4,
        hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2, drop_path_rate=0.2, num_labels=CLASSES,
    )  # fmt: skip
    return t.SwinForImageClassification(config)


def bert(t):
    config = t.BertConfig(
        vocab_size=WORDS, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16, hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2, num_labels=CLASSES,
    )  # fmt: skip
    return t.BertForSequenceClassification(config)


def distilbert(t):
    config = t.DistilBertConfig(
        vocab_size=WORDS, dim=16, n_layers=2, n_heads=2, hidden_dim=32, max_position_embeddings=16, dropout=0.2,
        attention_dropout=0.2, num_labels=CLASSES,
    )  # fmt: skip
    return t.DistilBertForSequenceClassification(config)


def gpt2(t):
    config = t.GPT2Config(
        vocab_size=WORDS, n_embd=16, n_layer=2, n_head=2, n_positions=16, pad_token_id=0, num_labels=CLASSES,
        resid_pdrop=0.2, embd_pdrop=0.2, attn_pdrop=0.2, bos_token_id=1, eos_token_id=1,
    )  # fmt: skip
    return t.GPT2ForSequenceClassification(config)


def opt(t):
    config = t.OPTConfig(
        vocab_size=WORDS, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, ffn_dim=32, pad_token_id=0,
        max_position_embeddings=16, word_embed_proj_dim=16, dropout=0.2, attention_dropout=0.2, num_labels=CLASSES,
        bos_token_id=1, eos_token_id=1,
    )  # fmt: skip
    return t.OPTForSequenceClassification(config)


def densenet(nets):
    return nets.DenseNet(2, 1, CLASSES, init_features=8, growth_rate=4, block_config=(2, 2), dropout_prob=0.2)


def resnet10(nets):
    return nets.ResNet("basic", [1, 1, 1, 1], [4, 4, 8, 8], spatial_dims=2, n_input_channels=1, num_classes=CLASSES)


def attention_unet(nets):
    return nets.AttentionUnet(2, 1, CLASSES, channels=(4, 8), strides=(2,), dropout=0.2)


def segresnet(nets):
    return nets.SegResNet(2, 8, 1, CLASSES, dropout_prob=0.2, blocks_down=(1, 1), blocks_up=(1,))


def unet(nets):
    return nets.UNet(2, 1, CLASSES, channels=(4, 8, 16), strides=(2, 2), num_res_units=1, dropout=0.2)


def medical_vit(nets):
    return nets.ViT(
        1, img_size=(16, 16), patch_size=(8, 8), hidden_size=12, mlp_dim=16, num_layers=2, num_heads=2,
        num_classes=CLASSES, classification=True, spatial_dims=2, dropout_rate=0.2, post_activation=None,
    )  # fmt: skip


VISION = (resnet, vit, convnext, swin)
LANGUAGE = (bert, distilbert, gpt2, opt)
SEGMENTATION = (attention_unet, segresnet, unet)
"""Networks whose output has a class for each pixel."""
MEDICAL = (densenet, medical_vit, resnet10, *SEGMENTATION)
NETWORKS = {f.__name__: f for f in (*VISION, *LANGUAGE, *MEDICAL)}


def library(name):
    """The package that the network is of."""
    return "monai" if NETWORKS[name] in MEDICAL else "transformers"


def build(name, seed):
    """The network `name` in double precision, its weights drawn from `seed`."""
    package = importlib.import_module("monai.networks.nets" if library(name) == "monai" else "transformers")
    if library(name) == "transformers":
        package.logging.set_verbosity_error()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NETWORKS[name](package).train().double()


def examples(name, count):
    """Inputs and targets: images (count, 1, 16, 16) or tokens (count, 7), a class for each, or for each pixel."""
    generator = torch.Generator().manual_seed(0)
    of_each = IMAGES[1:] if NETWORKS[name] in SEGMENTATION else ()
    y = torch.randint(CLASSES, (count, *of_each), generator=generator)
    if NETWORKS[name] in LANGUAGE:
        return torch.randint(2, WORDS, (count, *SENTENCES), generator=generator), y
    return torch.randn(count, *IMAGES, generator=generator, dtype=torch.float64), y
