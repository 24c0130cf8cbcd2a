"""ASMa: two encoders pre-trained behind complementary masks, aligned into a teacher, distilled into a light student."""
